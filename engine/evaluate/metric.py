"""Scores of predictions against gold labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Scores(NamedTuple):
    """How well predictions agree with gold labels.

    Attributes:
        accuracy: Share of rows whose label is predicted, 0 to 1.
        macro_f1: Mean over classes of the F1 score, 0 to 1.
        class_f1: F1 of each of the task's labels in order, 0 to 1.
    """

    accuracy: float
    macro_f1: float
    class_f1: list[float]


def scores(gold: Sequence[int], predicted: Sequence[int], labels: int) -> Scores:
    """Score predictions.

    Macro-F1 is the mean of per-class F1, not the F1 of mean precision and mean recall; the two
    differ (Opitz and Burst 2019, arXiv:1911.03347). Every label of the task counts; one that
    neither occurs in ``gold`` nor is predicted has no F1 and is left out of the mean.

    Args:
        gold: Label numbers, shape (n,).
        predicted: Label numbers, shape (n,).
        labels: How many labels the task has.

    Raises:
        ValueError: The shapes differ, or n is 0.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold labels, but {len(predicted)} predictions")
    if not gold:
        raise ValueError("the scores of no rows are undefined")
    from sklearn.metrics import accuracy_score, f1_score  # here: it takes seconds to load

    numbers = list(range(labels))
    per_class = f1_score(gold, predicted, labels=numbers, average=None, zero_division=0.0)
    occurs = np.isin(numbers, list({*gold, *predicted}))
    return Scores(
        float(accuracy_score(gold, predicted)),
        float(np.mean(per_class[occurs])),
        [float(value) for value in per_class],
    )
