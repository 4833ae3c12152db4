"""How much of what conditions differ in is due to each factor."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Level = str | int | float | bool | None


class Importance(NamedTuple):
    """What a factor accounts for.

    Attributes:
        share: Of the variance between conditions, 0 to 1, without what noise adds to it.
        conditions: How many conditions that is said of.
    """

    share: float
    conditions: int


def importance(
    factor: str,
    levels: Sequence[Mapping[str, Level]],
    means: Sequence[float],
    noise: float,
) -> Importance | None:
    """Return the share of the variance between conditions that a factor's main effect explains.

    Sums of squares are those of type II (each factor after all others, without interactions), of
    the conditions that the factor applies to; other factors that do not apply to all of these are
    left out. Noise adds to every sum of squares what it adds to the mean of so many squares, which
    is taken off again (epsilon squared, Kelley 1935, with the noise known from the draws). What no
    factor's share accounts for is due to interactions.

    Args:
        factor: Its name.
        levels: Each condition's levels; None where a factor does not apply.
        means: Each condition's score.
        noise: Variance of such a score that is due to draws, averaged over conditions.

    Returns:
        None where it varies in no two conditions.
    """
    kept = [place for place, condition in enumerate(levels) if condition[factor] is not None]
    columns = {name: [levels[place][name] for place in kept] for name in levels[0]}
    varied = [
        name for name, column in columns.items() if len(set(column)) > 1 and None not in column
    ]
    if factor not in varied:
        return None
    score = np.array([means[place] for place in kept])
    # type II: what is left without the factor, less what is left with it, after all the others
    whole, ranks = _residual([columns[name] for name in varied], score)
    less, fewer = _residual([columns[name] for name in varied if name != factor], score)
    total, explained = _residual([], score)[0], less - whole
    total, explained = total - noise * (len(kept) - 1), explained - noise * (ranks - fewer)
    share = explained / total if total > 0 else 0.0
    return Importance(float(np.clip(share, 0, 1)), len(kept))


def _residual(columns: Sequence[Sequence[Level]], score: NDArray[np.float64]) -> tuple[float, int]:
    """Return the sum of squares that main effects leave, and how many of them can be told apart."""
    from sklearn.preprocessing import OneHotEncoder  # here, for it takes a second to load

    design = np.ones((len(score), 1))
    if columns:
        words = [[str(level) for level in column] for column in columns]
        shown = OneHotEncoder(sparse_output=False).fit_transform(list(zip(*words, strict=True)))
        design = np.hstack([design, shown])
    coefficients, _, rank, _ = np.linalg.lstsq(design, score)
    return float(np.sum((score - design @ coefficients) ** 2)), int(rank)
