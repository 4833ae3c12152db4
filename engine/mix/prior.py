"""How a quantity is divided over the labels, so that a smaller set is a prefix of a larger one."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence


def turns(labels: Sequence[str], prior: Mapping[str, float], quantity: int) -> list[str]:
    """Return whose turn each of the first ``quantity`` rows of a view is.

    The k-th row of a label (from 0) comes at (k + 1/2) / prior; equal times go by label order.
    This is the divisor method of Webster and Sainte-Lague: no label's share ever falls as the
    quantity grows, which largest remainders do not promise. Balanced labels take turns.

    Args:
        labels: The task's labels, in order.
        prior: Weight of each label; balanced if empty.
        quantity: Rows of all labels together.
    """
    weights = [prior.get(label, 1.0) if prior else 1.0 for label in labels]
    waiting = [(0.5 / weight, place, 0) for place, weight in enumerate(weights)]
    heapq.heapify(waiting)
    order = []
    for _ in range(quantity):
        _, place, taken = waiting[0]
        heapq.heapreplace(waiting, ((taken + 1.5) / weights[place], place, taken + 1))
        order.append(labels[place])
    return order


def quotas(labels: Sequence[str], prior: Mapping[str, float], quantity: int) -> dict[str, int]:
    """Return how many of ``quantity`` rows each label has; they add up to it."""
    counts = Counter(turns(labels, prior, quantity))
    return {label: counts[label] for label in labels}
