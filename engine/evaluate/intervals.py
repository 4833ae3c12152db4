"""Means over repeats, with their intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Mean(NamedTuple):
    """A mean with a two-sided confidence interval.

    Attributes:
        value: The mean.
        low: Lower end; None for fewer than two values.
        high: Upper end; None for fewer than two values.
        repeats: How many values there are.
    """

    value: float
    low: float | None
    high: float | None
    repeats: int


def mean_interval(values: Sequence[float], level: float = 0.95) -> Mean:
    """Return the mean and Student's t interval over independent repeats.

    It says how far the mean would move under other training seeds on the same data. It is not
    cut off at 0 and 1.

    Args:
        values: One score per repeat, shape (n,), n >= 1.
        level: Coverage, such as 0.95.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("the mean of no values is undefined")
    mean = float(np.mean(values))
    if len(values) < 2:
        return Mean(mean, None, None, 1)
    from scipy import stats  # here, for half a second: most of what is imported computes none

    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values))
    return Mean(mean, mean - half, mean + half, len(values))
