"""Which trials go on to the next rung.

A rule looks at the scores of all trials that were measured at a rung so far. It is asked when every
trial at work has been measured, so that what it says does not hang on which of them was first.
"""

import math
from collections.abc import Mapping
from statistics import median
from typing import Protocol


class Rule(Protocol):
    """Says which trials go on.

    Args:
        scores: The score of each trial at a rung, by its number; higher is better.
        factor: One in so many goes on, if the rule counts them.

    Returns:
        The numbers of those that do.
    """

    def __call__(self, scores: Mapping[int, float], factor: float) -> set[int]:
        """Judge a rung."""


def asha(scores: Mapping[int, float], factor: float) -> set[int]:
    """Let the best go on, one in ``factor`` of all, rounded up; of equals those that came first.

    Li et al. 2018 (arXiv:1810.05934, algorithm 2) ask this whenever a worker is free, and so about
    whoever has been measured by then, and take up again later whom others' failures move up. Here
    it is asked about all trials at work together, and who is stopped has ended.
    """
    count = math.ceil(len(scores) / factor - 1e-9)
    return set(sorted(scores, key=lambda number: (-scores[number], number))[:count])


def at_least_median(scores: Mapping[int, float], factor: float) -> set[int]:
    """Let those go on that are not below the median of all.

    Golovin et al. 2017 (Google Vizier, section 3.1) compare a trial's best with the medians of
    running averages; scores at a rung are no averages of others here.
    """
    if not scores:
        return set()
    middle = median(scores.values())
    return {number for number, score in scores.items() if score >= middle}


def everybody(scores: Mapping[int, float], factor: float) -> set[int]:
    """Let all go on."""
    return set(scores)


RULES: Mapping[str, Rule] = {"asha": asha, "median": at_least_median, "none": everybody}
