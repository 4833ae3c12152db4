"""What a study's scores say: which differences are shown, how much is enough, and its worth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from engine.evaluate.curve import Curve, Reach, equivalent, knee
from engine.evaluate.family import Tested, against, holm
from engine.evaluate.importance import Importance, importance
from engine.evaluate.trials import Arm, Estimate, Trials
from engine.findings.findings import (
    ConditionScore,
    Findings,
    Level,
    condition_rows,
    condition_scores,
    draws,
)

AMOUNTS = ("quantity", "real", "mix.quantity", "mix.real")  # factors that are numbers of rows
Pairs = Mapping[Level, Sequence[tuple[int, int]]]  # of conditions, by the level of the first


@dataclass(frozen=True)
class Effect:
    """A factor's level beside its baseline, in cells that agree on all else.

    Attributes:
        level: The level.
        tested: By how much it is above the baseline; None where the two have no draw in common.
        cells: In how many pairs of conditions they are compared.
        uncompared: How many more pairs there are, with too few trainings in common to be compared.
        tokens: How many times the baseline's tokens its rows took; None where none are counted.
    """

    level: Level
    tested: Tested | None
    cells: int
    uncompared: int
    tokens: float | None


@dataclass(frozen=True)
class FactorEffects:
    """What a factor does to a task's scores.

    Attributes:
        factor: Its name.
        baseline: The level that the others are compared with: the study file's first, or the fewest
            rows.
        effects: The others, in the order of the study file.
        importance: What it accounts for; None where that cannot be told.
    """

    factor: str
    baseline: Level
    effects: Sequence[Effect]
    importance: Importance | None


class Knee(NamedTuple):
    """How many synthetic rows are enough.

    Attributes:
        levels: The other levels of the conditions that differ in their quantity.
        reach: From how many rows on no more than a point is left to gain.
        fewest: The fewest that were tried.
        most: Up to how many that is known.
    """

    levels: Mapping[str, Level]
    reach: Reach
    fewest: int
    most: int


class Worth(NamedTuple):
    """How many real rows alone score what a condition does.

    Attributes:
        condition: The condition's scores on test.
        reach: The number, all of its own real rows among them.
        fewest: The fewest real rows that were tried alone.
        most: The most.
    """

    condition: ConditionScore
    reach: Reach
    fewest: int
    most: int

    @property
    def further(self) -> Reach:
        """How many real rows its synthetic ones stand for."""
        return self.reach.less(self.condition.rows_real)


@dataclass(frozen=True)
class TaskAnalysis:
    """What the scores on one task's test rows say.

    Attributes:
        task: The task.
        conditions: Its conditions' scores on test, in the order of the grid.
        validated: Their scores on validation, of the study's metric.
        leader: The number of the one that is best on validation.
        others: By how much the leader is above each; None for itself, and where the two have no
            draw in common.
        factors: What each factor does, the most important first.
        knees: How many synthetic rows are enough, for each curve over quantity.
        worths: What the conditions with synthetic rows are worth, where real rows were tried alone.
    """

    task: str
    conditions: Sequence[ConditionScore]
    validated: Sequence[float]
    leader: int
    others: Sequence[Tested | None]
    factors: Sequence[FactorEffects]
    knees: Sequence[Knee]
    worths: Sequence[Worth]

    @property
    def best(self) -> ConditionScore:
        """The leader's scores on test."""
        return self.conditions[self.leader]

    @property
    def told_worth(self) -> Worth | None:
        """The leader's worth; if it has no synthetic rows, that of the best that has any."""
        by_validation = sorted(
            range(len(self.conditions)), key=lambda place: -self.validated[place]
        )
        best = (self.conditions[place] for place in [self.leader, *by_validation])
        chosen = next((condition for condition in best if condition.quantity), None)
        return self.worth_of(chosen) if chosen else None

    def worth_of(self, condition: ConditionScore) -> Worth | None:
        """Return what a condition is worth; None where that is not known."""
        return next((worth for worth in self.worths if worth.condition is condition), None)


@lru_cache(maxsize=1)  # a report and the terminal tell of the same
def analyse(findings: Findings) -> list[TaskAnalysis]:
    """Compare the conditions of each task of which any has been trained.

    Args:
        findings: What was found; without predictions nothing can be compared.
    """
    if not findings.predicted:
        return []
    tests, validations = (condition_scores(findings, split) for split in ("test", "validation"))
    names = dict.fromkeys(score.task for score in tests)
    return [_Task(findings, name, tests, validations).analysis() for name in names]


class _Task:
    """One task's conditions, and what they predicted."""

    def __init__(
        self,
        findings: Findings,
        task: str,
        tests: Sequence[ConditionScore],
        validations: Sequence[ConditionScore],
    ) -> None:
        self.metric = findings.metric
        self.factors = [name for name in findings.factors if name != "task"]
        pairs = [
            (test, validation)
            for test, validation in zip(tests, validations, strict=True)
            if test.task == task
        ]
        self.task = task
        self.conditions = [test for test, _ in pairs]
        self.validations = [validation for _, validation in pairs]
        rows = [
            results for results in condition_rows(findings, "test") if results[0]["task"] == task
        ]
        arms = [_arm(results) for results in rows]
        values = [draws(results, self.metric) for results in rows]
        self.noise = float(np.mean([_variance(drawn) for drawn in values]))
        # one training of each tells nothing of others
        is_single = [len(drawn) < 2 for drawn in values]
        self.is_noise_known = not any(arm.is_random for arm in arms) or not all(is_single)
        self.is_lone = [
            single and arm.is_random for single, arm in zip(is_single, arms, strict=True)
        ]
        runs = dict.fromkeys(row["run"] for results in rows for row in results)
        self.trials = Trials(
            np.asarray(findings.gold[task]),
            len(findings.tasks[task].labels),
            arms,
            {run: findings.predicted[run] for run in runs},
            self.metric,
        )

    def analysis(self) -> TaskAnalysis:
        leader = self._leader()
        others = [place for place in range(len(self.conditions)) if place != leader]
        tested = iter(against(self.trials, leader, others))
        factors = [effects for name in self.factors if (effects := self._effects(name))]
        return TaskAnalysis(
            task=self.task,
            conditions=self.conditions,
            validated=[self._validated(place) for place in range(len(self.conditions))],
            leader=leader,
            others=[
                None if place == leader else next(tested) for place in range(len(self.conditions))
            ],
            factors=sorted(factors, key=_share, reverse=True),
            knees=list(self._knees()),
            worths=list(self._worths()),
        )

    def _leader(self) -> int:
        """Return the best on validation; a lone training wins by luck where others have more."""
        many = [place for place, is_lone in enumerate(self.is_lone) if not is_lone]
        return max(many or range(len(self.conditions)), key=self._validated)

    def _validated(self, place: int) -> float:
        return self.validations[place].scores[self.metric].value

    def _effects(self, factor: str) -> FactorEffects | None:
        """Compare a factor's levels with the first that any other can be compared with."""
        tried = dict.fromkeys(condition.levels[factor] for condition in self.conditions)
        levels = [level for level in tried if level is not None]
        if factor in ("quantity", "real"):
            levels.sort(key=float)
        for baseline in levels:
            matched = {
                level: self._matched(factor, level, baseline)
                for level in levels
                if level != baseline
            }
            if any(matched.values()):
                compared: Pairs = {level: pairs for level, pairs in matched.items() if pairs}
                return FactorEffects(
                    factor, baseline, self._tested(compared), self._importance(factor)
                )
        return None

    def _tested(self, matched: Pairs) -> list[Effect]:
        comparable = {level: self._comparable(pairs) for level, pairs in matched.items()}
        differences = [self._difference(pairs) for pairs in comparable.values()]
        tested = iter(holm([difference for difference in differences if difference]))
        return [
            Effect(
                level,
                next(tested) if difference else None,
                len(pairs),
                len(matched[level]) - len(pairs),
                self._tokens(pairs),
            )
            for (level, pairs), difference in zip(comparable.items(), differences, strict=True)
        ]

    def _comparable(self, pairs: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """Leave out pairs that share too few trainings to be compared, if others share more."""
        return [pair for pair in pairs if self.trials.are_comparable(pair)] or pairs

    def _matched(self, factor: str, level: Level, baseline: Level) -> list[tuple[int, int]]:
        """Return pairs of conditions, of two levels, that agree on all other factors.

        A factor that does not apply to one of the two says nothing against that.
        """
        places = self._having(factor, level)
        return [
            (place, other)
            for place in places
            for other in self._having(factor, baseline)
            if self._agree(place, other, besides={factor, *self._bundled()})
        ]

    def _bundled(self) -> set[str]:
        """Return the numbers of rows that are no factor: levels of other factors set them."""
        return {"quantity", "real"} - set(self.factors)

    def _having(self, factor: str, level: Level) -> list[int]:
        return [
            place
            for place, condition in enumerate(self.conditions)
            if condition.levels[factor] == level
        ]

    def _agree(self, place: int, other: int, besides: set[str]) -> bool:
        theirs = self.conditions[other].levels
        return all(
            level is None or theirs[name] is None or level == theirs[name]
            for name, level in self.conditions[place].levels.items()
            if name not in besides
        )

    def _difference(self, pairs: Sequence[tuple[int, int]]) -> Estimate | None:
        """Return the mean difference over pairs of conditions."""
        weights: dict[int, float] = {}
        for place, other in pairs:
            weights[place] = weights.get(place, 0.0) + 1 / len(pairs)
            weights[other] = weights.get(other, 0.0) - 1 / len(pairs)
        return self.trials.contrast(weights)

    def _tokens(self, pairs: Sequence[tuple[int, int]]) -> float | None:
        tokens = sum(self.conditions[place].took.tokens for place, _ in pairs)
        baseline_tokens = sum(self.conditions[other].took.tokens for _, other in pairs)
        return tokens / baseline_tokens if tokens and baseline_tokens else None

    def _importance(self, factor: str) -> Importance | None:
        """Tell it of the conditions with synthetic rows, to which all factors apply, if any.

        But where all of these have the same number of them, what that number does is told beside
        the conditions without any.
        """
        if not self.is_noise_known:
            return None
        synthetic = [condition for condition in self.conditions if condition.quantity]
        varies = len({condition.levels[factor] for condition in synthetic}) > 1
        kept = synthetic if synthetic and (varies or factor != "quantity") else self.conditions
        levels = [{name: condition.levels[name] for name in self.factors} for condition in kept]
        means = [condition.scores[self.metric].value for condition in kept]
        return importance(factor, levels, means, self.noise)

    def _knees(self) -> Iterator[Knee]:
        curves: dict[tuple[Level, ...], list[int]] = {}
        for place, condition in enumerate(self.conditions):
            if condition.rows_synthetic:
                curves.setdefault(tuple(_without(condition, "quantity").values()), []).append(place)
        for places in curves.values():
            # by the rows that were there: of a recipe that fell short two conditions can be one
            by_rows = {self.conditions[place].rows_synthetic: place for place in reversed(places)}
            rows = sorted(by_rows)
            distinct = [by_rows[count] for count in rows]
            if len(rows) > 1 and not self._has_peak(distinct):
                reach = knee(self.trials, Curve(rows, distinct))
                if reach:
                    levels = _without(self.conditions[distinct[0]], "quantity")
                    yield Knee(levels, reach, round(rows[0]), round(rows[-1]))

    def _has_peak(self, places: Sequence[int]) -> bool:
        """Tell whether the most rows are shown to be too many, beside the best of the curve."""
        best = max(places, key=lambda place: self.conditions[place].scores[self.metric].value)
        others = [place for place in places if place != best]
        lost = against(self.trials, best, others)[-1]
        return bool(best != places[-1] and lost and lost.is_shown)

    def _worths(self) -> Iterator[Worth]:
        alone = [place for place, condition in enumerate(self.conditions) if not condition.quantity]
        alone.sort(key=lambda place: self.conditions[place].rows_real)
        for place, condition in enumerate(self.conditions):
            comparable = [raw for raw in alone if self._agree(raw, place, besides=set(AMOUNTS))]
            rows = [self.conditions[raw].rows_real for raw in comparable]
            if condition.quantity and comparable and len(set(rows)) == len(rows):
                reach = equivalent(self.trials, Curve(rows, comparable), place)
                if reach:
                    yield Worth(condition, reach, rows[0], rows[-1])


def _arm(rows: Sequence[Mapping[str, Any]]) -> Arm:
    runs: dict[int, dict[int, str]] = {}
    for row in rows:
        runs.setdefault(row["replicate"], {})[row["repeat"]] = row["run"]
    return Arm(runs, rows[0]["is_random"])


def _without(condition: ConditionScore, factor: str) -> dict[str, Level]:
    return {
        name: level
        for name, level in condition.levels.items()
        if name not in (factor, f"mix.{factor}")
    }


def _variance(values: Sequence[float]) -> float:
    """Return the variance of a condition's mean over draws; 0 where there is only one."""
    return float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0


def _share(effects: FactorEffects) -> float:
    return effects.importance.share if effects.importance else -1.0
