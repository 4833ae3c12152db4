"""How a quantity is divided over the labels, so that a smaller set is a prefix of a larger one."""

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache


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
    weights = _weights(labels, prior)
    return [labels[place] for place in _places(weights, [0] * len(weights), quantity)]


def _weights(labels: Sequence[str], prior: Mapping[str, float]) -> list[float]:
    return [prior.get(label, 1.0) if prior else 1.0 for label in labels]


def _places(weights: Sequence[float], taken: Sequence[int], count: int) -> Iterator[int]:
    """Yield whose turn each of ``count`` rows is, by place, where some were taken before."""
    waiting = [((turns + 0.5) / weights[place], place, turns) for place, turns in enumerate(taken)]
    heapq.heapify(waiting)
    for _ in range(count):
        _, place, turns = waiting[0]
        heapq.heapreplace(waiting, ((turns + 1.5) / weights[place], place, turns + 1))
        yield place


def quotas(labels: Sequence[str], prior: Mapping[str, float], quantity: int) -> dict[str, int]:
    """Return how many of ``quantity`` rows each label has; they add up to it."""
    return dict(_quotas(tuple(labels), tuple(prior.items()), quantity))


@lru_cache(maxsize=1024)  # conditions by the thousand ask for a few quantities
def _quotas(
    labels: tuple[str, ...], prior: tuple[tuple[str, float], ...], quantity: int
) -> dict[str, int]:
    weights = _weights(labels, dict(prior))
    # no label is ever further behind its share than half of the labels and a half; so the last few
    # turns alone need be taken, and a plan of a billion rows is no slower than one of ten
    behind, total = len(weights), sum(weights)
    taken = [max(0, math.floor(quantity * (weight / total)) - behind) for weight in weights]
    counts = Counter(_places(weights, taken, quantity - sum(taken)))
    return {
        label: turns + counts[place]
        for place, (label, turns) in enumerate(zip(labels, taken, strict=True))
    }
