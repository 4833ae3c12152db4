"""Where a score reaches what another condition has: knees of curves, and worth in real rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.evaluate.trials import Trials

PIECES = 40  # places looked at between two points of a curve
MARGIN = 0.01  # what is given up at a knee: one point


class Reach(NamedTuple):
    """So many rows, and how sure that is.

    Attributes:
        rows: The number; infinity for more than the curve's most, minus infinity for fewer than its
            fewest.
        low: Lower end of its 95% interval, likewise.
        high: Upper end, likewise.
        is_told: Whether it allows for other draws; else it is of other test rows alone.
    """

    rows: float
    low: float
    high: float
    is_told: bool = True

    def less(self, rows: float) -> "Reach":
        """Return how many rows that is beyond some."""
        return Reach(self.rows - rows, self.low - rows, self.high - rows, self.is_told)


class Curve(NamedTuple):
    """Conditions that differ in a number of rows alone.

    Attributes:
        rows: Their numbers of rows, rising, all above 0.
        arms: The conditions' numbers.
    """

    rows: Sequence[float]
    arms: Sequence[int]


def knee(trials: Trials, curve: Curve, margin: float = MARGIN) -> Reach | None:
    """Return from how many rows on no more than a margin is left to gain.

    It is where the curve, straight between its points over the logarithm of rows, reaches its last
    score less the margin. Common definitions of a knee (Satopaa et al. 2011, "Finding a kneedle in
    a haystack") are points of curvature, which noise of a point or two makes anywhere; this one has
    an interval, and says what stopping there costs.

    Args:
        trials: The conditions.
        curve: At least two of them.
        margin: Such as 0.01, one point.

    Returns:
        The number and its interval; None where the conditions have no draw in common.
    """
    return _reach(trials, curve, curve.arms[-1], -margin)


def equivalent(trials: Trials, curve: Curve, arm: int) -> Reach | None:
    """Return how many rows of a curve score what a condition does.

    The curve is inverted, and so are its tests: the interval holds the numbers of rows whose score,
    straight between the curve's points over the logarithm of rows, is not shown to differ from the
    condition's (as Fieller 1954 does for a ratio).

    Args:
        trials: The conditions.
        curve: At least one of them.
        arm: The condition's number.

    Returns:
        The number and its interval; None where the conditions have no draw in common.
    """
    return _reach(trials, curve, arm, 0.0)


def _reach(trials: Trials, curve: Curve, target: int, shift: float) -> Reach | None:
    """Find where the curve crosses the target's score and the shift together."""
    arms = list(dict.fromkeys([*curve.arms, target]))
    places, mixtures = _between(curve.rows)
    weights = np.zeros((len(places), len(arms)))
    weights[:, : len(curve.arms)] = -mixtures
    weights[:, arms.index(target)] += 1.0
    spread = trials.spread(arms, weights, shift)
    if spread is None:
        return None
    ahead, reach = spread.values, spread.reach
    kept = places[np.abs(ahead) <= reach]
    crossing = _crossing(places, _falling(ahead))
    low = -np.inf if ahead[0] <= reach[0] else min(kept, default=crossing)
    high = np.inf if ahead[-1] >= -reach[-1] else max(kept, default=crossing)
    return Reach(crossing, float(min(low, crossing)), float(max(high, crossing)), spread.is_told)


def _between(rows: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return numbers of rows along a curve, and of which of its points each is a mixture."""
    logs = np.log(np.asarray(rows, np.float64))
    if len(logs) == 1:
        return np.exp(logs), np.ones((1, 1))
    at = np.linspace(0, len(logs) - 1, PIECES * (len(logs) - 1) + 1)
    mixtures = np.array([np.interp(at, range(len(logs)), unit) for unit in np.eye(len(logs))]).T
    return np.exp(mixtures @ logs), mixtures


def _falling(ahead: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest that never rises: more rows never score less, but by noise."""
    from sklearn.isotonic import isotonic_regression  # here, for it takes a second to load

    return np.asarray(isotonic_regression(ahead, increasing=False))


def _crossing(places: NDArray[np.float64], ahead: NDArray[np.float64]) -> float:
    if ahead[-1] > 0:
        return np.inf
    if ahead[0] < 0:
        return -np.inf
    return float(np.exp(np.interp(0.0, -ahead, np.log(places))))
