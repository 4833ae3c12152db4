"""How scores move with other test rows: the bootstrap over rows, for many runs at once."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.store.schema import Metric

RESAMPLES = 1000
SEED = 2407_12813  # the same rows are drawn whenever a report is written
AT_ONCE = 256  # runs, which bounds the memory
Numbers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@lru_cache(maxsize=2)  # all runs of a task are scored on the same
def drawn_rows(rows: int) -> Floats:
    """Return how often each row is drawn in each of RESAMPLES resamples, with replacement.

    Args:
        rows: How many rows there are, and are drawn each time, n >= 1.

    Returns:
        Counts, shape (RESAMPLES, n).
    """
    random = np.random.default_rng(SEED)
    counts = random.multinomial(rows, np.full(rows, 1 / rows), size=RESAMPLES)
    return counts.astype(np.float32)


def weighted_scores(
    gold: Numbers, predicted: Numbers, labels: int, metric: Metric, counts: Floats
) -> Floats:
    """Score many runs' predictions with rows that count so many times.

    All runs are scored on the same rows, so that what the rows have in common cancels where two
    runs are compared (Koehn 2004, section 3, "paired bootstrap"). Macro-F1 is that of
    ``engine.evaluate.metric``: a label that is neither drawn nor predicted has no F1.

    Args:
        gold: Label numbers, shape (n,).
        predicted: Each run's label numbers, shape (runs, n).
        labels: How many labels the task has.
        metric: What to compute.
        counts: How often each row counts, shape (k, n), n > 0 in all.

    Returns:
        Scores, 0 to 1, shape (k, runs).
    """
    blocks = [
        _scores(gold, predicted[start : start + AT_ONCE], labels, metric, counts)
        for start in range(0, len(predicted), AT_ONCE)
    ]
    return np.concatenate(blocks, axis=1)


def _scores(
    gold: Numbers, predicted: Numbers, labels: int, metric: Metric, counts: Floats
) -> Floats:
    if metric == "accuracy":
        accuracy = counts @ _ones(predicted == gold) / counts.sum(axis=1, keepdims=True)
        return np.asarray(accuracy, np.float64)
    total = np.zeros((len(counts), len(predicted)))
    occurring = np.zeros_like(total)
    for label in range(labels):
        is_gold, is_said = gold == label, predicted == label
        hits = counts @ _ones(is_said & is_gold)
        denominator = counts @ _ones(is_said) + (counts @ is_gold.astype(np.float32))[:, None]
        total += np.divide(2 * hits, denominator, out=np.zeros_like(total), where=denominator > 0)
        occurring += denominator > 0
    return total / occurring


def _ones(marked: NDArray[np.bool_]) -> Floats:
    return np.ascontiguousarray(marked.T, dtype=np.float32)
