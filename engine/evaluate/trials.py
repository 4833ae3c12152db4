"""Comparisons of a task's conditions on the same test rows, for one metric.

A difference between conditions would have come out otherwise with other test rows, and with other
draws of data and training. Its variance is the sum of two parts, each estimated where it shows:

* rows: the covariance, over resampled test rows, of what two *different* draws come to. What rows
  do to one draw alone is noise of that draw, and counted with it.
* draws: the sample variance over draws, divided by their number. A draw is a replicate where there
  are several, with the mean over its repeats, and conditions are compared replicate by replicate,
  since they share its real rows and shots. Else a draw is a repeat, and each side of a comparison
  has a variance of its own (Welch 1947): what a common seed does to both sides alike can only make
  the interval wider than it need be.

Their sum is the random-effects variance of a mean over crossed rows and draws. Intervals take
degrees of freedom from Satterthwaite (1946), which is right on average but not in the far tails
that a family of comparisons looks at. So p is the fiducial chance (Behrens 1929, Fisher 1935): it
lets the draws' variance be as uncertain as so few draws leave it. It gives no more false alarms
than it says, but where one side's trainings vary many times as much as the other's. Close to 0.05
the two can disagree.

Seeds are not resampled: a bootstrap over three to five of them is too narrow, by figures that
``textmill bench statistics`` gives beside this interval's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.evaluate.bootstrap import Numbers, drawn_rows, weighted_scores
from engine.store.schema import Metric

LEVEL = 0.95
SHARES = (-14.0, 6.0, 400)  # logarithms of chi-squared shares: from, to, how many
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """One condition's trainings.

    Attributes:
        runs: The run of each replicate's repeats, by replicate and repeat. Repeats of a trainer
            that draws nothing name one and the same run.
        is_random: Whether its trainer draws anything.
    """

    runs: Mapping[int, Mapping[int, str]]
    is_random: bool = True


class Estimate(NamedTuple):
    """A difference of scores, or another weighted sum of them, and how sure it is.

    Attributes:
        value: The estimate, such as 0.031.
        low: Lower end of its 95% interval.
        high: Upper end.
        p: The chance of one as far from 0, on either side, where there is none; None where draws
            matter and there is only one, so that nothing is known of others. The interval is of
            other test rows alone then.
        draws: How many draws it is over.
    """

    value: float
    low: float
    high: float
    p: float | None
    draws: int


class Spread(NamedTuple):
    """Many weighted sums of scores.

    Attributes:
        values: The sums, shape (k,).
        by_rows: Their variances that are due to rows, shape (k,).
        by_draws: Those that are due to draws, shape (k,).
        freedom: Degrees of freedom of the latter, shape (k,).
        rows: How many rows the former are over.
        draws: How many draws the sums are over.
        is_told: Whether draws that matter are known of, or none do.
    """

    values: Array
    by_rows: Array
    by_draws: Array
    freedom: Array
    rows: int
    draws: int
    is_told: bool

    @property
    def reach(self) -> Array:
        """Half the widths of the 95% intervals, shape (k,)."""
        from scipy import stats  # here, for it takes a second to load

        both = self.by_rows + self.by_draws
        slack = self.by_rows**2 / max(1, self.rows - 1) + self.by_draws**2 / self.freedom
        freedom = np.divide(both**2, slack, out=np.ones_like(both), where=slack > 0)
        return np.asarray(np.sqrt(both) * stats.t.ppf((1 + LEVEL) / 2, freedom))

    def first(self) -> Estimate:
        """Return the first of them."""
        value, reach = float(self.values[0]), float(self.reach[0])
        p = self._chance() if self.is_told else None
        return Estimate(value, value - reach, value + reach, p, self.draws)

    def _chance(self) -> float:
        """Return the fiducial chance of the first, or of more, on either side."""
        from scipy import stats

        value = abs(float(self.values[0]))
        by_rows, by_draws, freedom = self.by_rows[0], self.by_draws[0], self.freedom[0]
        if not by_rows + by_draws:  # the very same predictions, or what nothing moves
            return 0.0 if value else 1.0
        # a variance may be what was seen of it over any chi-squared share, each so likely
        shares = np.exp(np.linspace(*SHARES))
        likely = stats.chi2.pdf(shares * freedom, freedom) * shares
        chances = 2 * stats.norm.sf(value / np.sqrt(by_rows + by_draws / shares))
        return float(np.sum(likely * chances) / np.sum(likely))


class _Draws(NamedTuple):
    """What some arms scored in the draws that they share.

    Attributes:
        scores: On the test rows, shape (arms, draws).
        rows: Covariances of the arms' means that are due to rows, shape (arms, arms).
        are_paired: Whether arms share what a draw is.
        fixed: Variances of arms that are the same in all draws, which do not show there.
        fixed_freedom: Degrees of freedom of these.
        is_told: As in ``Spread``.
    """

    scores: Array
    rows: Array
    are_paired: bool
    fixed: Array
    fixed_freedom: Array
    is_told: bool


class Trials:
    """A task's conditions and what they predicted on its test rows.

    Args:
        gold: The test rows' label numbers, shape (n,), n >= 1.
        labels: How many labels the task has.
        arms: The conditions.
        predicted: Label numbers of each run, shape (n,) each.
        metric: What is compared.
    """

    def __init__(
        self,
        gold: Numbers,
        labels: int,
        arms: Sequence[Arm],
        predicted: Mapping[str, Numbers],
        metric: Metric,
    ) -> None:
        self.arms = arms
        self._rows = len(gold)
        self._places = {run: place for place, run in enumerate(predicted)}
        said = np.stack(list(predicted.values()))
        once = np.ones((1, len(gold)), np.float32)
        self._scores = weighted_scores(gold, said, labels, metric, once)[0]
        moved = weighted_scores(gold, said, labels, metric, drawn_rows(len(gold)))
        self._moved = np.ascontiguousarray((moved - moved.mean(axis=0)).T)

    def contrast(self, weights: Mapping[int, float]) -> Estimate | None:
        """Return a weighted sum of conditions' scores, such as a difference of two.

        Args:
            weights: Weights of arms, by their number.

        Returns:
            None where the arms have no draw in common.
        """
        spread = self.spread(list(weights), np.array([list(weights.values())]))
        return spread.first() if spread else None

    def are_comparable(self, arms: Sequence[int]) -> bool:
        """Tell whether conditions share draws enough to tell of others: several, if any matter."""
        compared = [self.arms[arm] for arm in arms]
        draws = len(_common(compared)[0])
        return draws > 1 or (draws == 1 and not any(arm.is_random for arm in compared))

    def values(self, arm: int) -> list[float]:
        """Return the scores of a condition's different runs."""
        return [float(self._scores[place]) for place in self._runs(arm)]

    def moved(self, arm: int) -> Array:
        """Return by how much they move with other rows, shape (runs, resamples)."""
        return self._moved[self._runs(arm)]

    def _runs(self, arm: int) -> list[int]:
        repeats = [run for by_repeat in self.arms[arm].runs.values() for run in by_repeat.values()]
        return [self._places[run] for run in dict.fromkeys(repeats)]

    def spread(self, arms: Sequence[int], weights: Array, shift: float = 0.0) -> Spread | None:
        """Return many weighted sums of the same arms' scores.

        Args:
            arms: The arms' numbers.
            weights: Weights, shape (k, arms).
            shift: Is added to all sums.

        Returns:
            None where the arms have no draw in common.
        """
        draws = self._gathered([self.arms[arm] for arm in arms])
        if draws is None:
            return None
        sums = weights @ draws.scores
        by_rows = np.einsum("ka,ab,kb->k", weights, draws.rows, weights).clip(min=0)
        by_draws, freedom = _together([*_of_draws(weights, draws), *_of_fixed(weights, draws)])
        return Spread(
            sums.mean(axis=1) + shift,
            by_rows,
            by_draws,
            freedom,
            self._rows,
            sums.shape[1],
            draws.is_told,
        )

    def _gathered(self, arms: Sequence[Arm]) -> _Draws | None:
        draws, are_replicates = _common(arms)
        if not draws:
            return None
        scores, moved = self._means(self._scores, draws), self._means(self._moved, draws)
        fixed, fixed_freedom = np.zeros(len(arms)), np.ones(len(arms))
        is_told = len(draws) > 1 or not any(arm.is_random for arm in arms)
        for arm, runs in enumerate(zip(*draws, strict=True)):
            if are_replicates and len(set(runs)) == 1 and len(runs[0]) > 1:
                values = self._scores[[self._places[run] for run in runs[0]]]
                fixed[arm], fixed_freedom[arm] = values.var(ddof=1) / len(values), len(values) - 1
            elif are_replicates and len(set(runs)) == 1:  # one training serves all replicates
                is_told = is_told and not arms[arm].is_random
        return _Draws(
            scores.T, _row_covariance(moved), are_replicates, fixed, fixed_freedom, is_told
        )

    def _means(self, values: Array, draws: Sequence[Sequence[Sequence[str]]]) -> Array:
        """Return the mean over each arm's runs of each draw, shape (draws, arms, ...)."""
        places = [[[self._places[run] for run in runs] for runs in draw] for draw in draws]
        if all(len(runs) == 1 for draw in places for runs in draw):
            return np.asarray(values[np.array(places)[:, :, 0]])
        return np.array([[values[runs].mean(axis=0) for runs in draw] for draw in places])


Part = tuple[Array, float]  # variances, shape (k,), and their degrees of freedom


def _of_draws(weights: Array, draws: _Draws) -> Iterator[Part]:
    """Yield what draws do to sums, or to each of their sides."""
    count = draws.scores.shape[1]
    if count > 1:
        sides = [weights] if draws.are_paired else [weights.clip(min=0), weights.clip(max=0)]
        for side in sides:
            yield (side @ draws.scores).var(axis=1, ddof=1) / count, count - 1


def _of_fixed(weights: Array, draws: _Draws) -> Iterator[Part]:
    for arm in np.flatnonzero(draws.fixed):
        yield weights[:, arm] ** 2 * draws.fixed[arm], float(draws.fixed_freedom[arm])


def _together(parts: Sequence[Part]) -> tuple[Array, Array]:
    """Return sums of variances, and their degrees of freedom (Satterthwaite 1946)."""
    known = parts or [(np.zeros(1), 1.0)]
    variance = np.sum([part for part, _ in known], axis=0)
    slack = np.sum([part**2 / freedom for part, freedom in known], axis=0)
    return variance, np.divide(variance**2, slack, out=np.ones_like(slack), where=slack > 0)


def _row_covariance(moved: Array) -> Array:
    """Return what rows do to arms' means, of what they do to each draw, shape (draws, arms, k)."""
    draws, arms, resamples = moved.shape
    each = np.ascontiguousarray(moved.transpose(1, 0, 2))
    together = each.sum(axis=1)
    whole = together @ together.T
    if draws == 1:
        return np.asarray(whole / (resamples - 1))
    flat = each.reshape(arms, -1)
    return np.asarray((whole - flat @ flat.T) / ((resamples - 1) * draws * (draws - 1)))


def _common(arms: Sequence[Arm]) -> tuple[list[list[tuple[str, ...]]], bool]:
    """Return each arm's runs in each draw that all of them have, and whether draws are replicates.

    Replicates in which all arms came to the very same runs are one draw.
    """
    shared = set.intersection(*(set(arm.runs) for arm in arms))
    by_replicate = [
        [tuple(sorted(set(arm.runs[replicate].values()))) for arm in arms]
        for replicate in sorted(shared)
    ]
    distinct = list({tuple(draw): draw for draw in by_replicate}.values())
    if len(distinct) > 1:
        return distinct, True
    if not shared:
        return [], False
    by_arm = [arm.runs[min(shared)] for arm in arms]
    repeats = sorted(set.intersection(*(set(runs) for runs in by_arm)))
    return [[(runs[repeat],) for runs in by_arm] for repeat in repeats], False
