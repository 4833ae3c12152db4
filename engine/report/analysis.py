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
from engine.report.findings import (
    ConditionScore,
    Findings,
    Level,
    condition_rows,
    condition_scores,
    draws,
)

Pairs = Mapping[Level, Sequence[tuple[int, int]]]  # of conditions, by the level of the first


@dataclass(frozen=True)
class Effect:
    """A factor's level beside its baseline, in cells that agree on all else.

    Attributes:
        level: The level.
        tested: By how much it is above the baseline; None where the two have no draw in common.
        cells: In how many pairs of conditions they are compared.
        tokens: How many times the baseline's tokens its rows took; None where none are counted.
    """

    level: Level
    tested: Tested | None
    cells: int
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
        return Reach(*(one - self.condition.rows_real for one in self.reach))


@dataclass(frozen=True)
class TaskAnalysis:
    """What the scores on one task's test rows say.

    Attributes:
        task: The task.
        conditions: Its conditions' scores on test, in the order of the grid.
        leader: The number of the one that is best on validation.
        others: By how much the leader is above each; None for itself, and where the two have no
            draw in common.
        factors: What each factor does, the most important first.
        knees: How many synthetic rows are enough, for each curve over quantity.
        worths: What the conditions with synthetic rows are worth, where real rows were tried alone.
    """

    task: str
    conditions: Sequence[ConditionScore]
    leader: int
    others: Sequence[Tested | None]
    factors: Sequence[FactorEffects]
    knees: Sequence[Knee]
    worths: Sequence[Worth]

    @property
    def best(self) -> ConditionScore:
        """The leader's scores on test."""
        return self.conditions[self.leader]

    def worth_of(self, condition: ConditionScore) -> Worth | None:
        """Return what a condition is worth; None where that is not known."""
        return next((one for one in self.worths if one.condition is condition), None)


@lru_cache(maxsize=1)  # a report and the terminal tell of the same
def analyse(findings: Findings) -> list[TaskAnalysis]:
    """Compare the conditions of each task of which any has been trained.

    Args:
        findings: What was found; without predictions nothing can be compared.
    """
    if not findings.predicted:
        return []
    tests, validations = (condition_scores(findings, split) for split in ("test", "validation"))
    names = dict.fromkeys(one.task for one in tests)
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
        rows = [own for own in condition_rows(findings, "test") if own[0]["task"] == task]
        arms = [_arm(own) for own in rows]
        self.noise = float(np.mean([_variance(draws(own, self.metric)) for own in rows]))
        runs = dict.fromkeys(row["run"] for own in rows for row in own)
        self.trials = Trials(
            np.asarray(findings.gold[task]),
            len(findings.tasks[task].labels),
            arms,
            {run: findings.predicted[run] for run in runs},
            self.metric,
        )

    def analysis(self) -> TaskAnalysis:
        leader = max(range(len(self.conditions)), key=self._validated)
        others = [place for place in range(len(self.conditions)) if place != leader]
        tested = iter(against(self.trials, leader, others))
        factors = [found for name in self.factors if (found := self._effects(name))]
        return TaskAnalysis(
            task=self.task,
            conditions=self.conditions,
            leader=leader,
            others=[
                None if place == leader else next(tested) for place in range(len(self.conditions))
            ],
            factors=sorted(factors, key=_share, reverse=True),
            knees=list(self._knees()),
            worths=list(self._worths()),
        )

    def _validated(self, place: int) -> float:
        return self.validations[place].scores[self.metric].value

    def _effects(self, factor: str) -> FactorEffects | None:
        """Compare a factor's levels with the first that any other can be compared with."""
        found = dict.fromkeys(one.levels[factor] for one in self.conditions)
        levels = [level for level in found if level is not None]
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
        found = [self._difference(pairs) for pairs in matched.values()]
        tested = iter(holm([one for one in found if one]))
        return [
            Effect(level, next(tested) if one else None, len(pairs), self._tokens(pairs))
            for (level, pairs), one in zip(matched.items(), found, strict=True)
        ]

    def _matched(self, factor: str, level: Level, baseline: Level) -> list[tuple[int, int]]:
        """Return pairs of conditions, of two levels, that agree on all other factors.

        A factor that does not apply to one of the two says nothing against that.
        """
        ones = self._having(factor, level)
        return [
            (one, other)
            for one in ones
            for other in self._having(factor, baseline)
            if self._agree(one, other, besides={factor})
        ]

    def _having(self, factor: str, level: Level) -> list[int]:
        return [place for place, one in enumerate(self.conditions) if one.levels[factor] == level]

    def _agree(self, one: int, other: int, besides: set[str]) -> bool:
        theirs = self.conditions[other].levels
        return all(
            level is None or theirs[name] is None or level == theirs[name]
            for name, level in self.conditions[one].levels.items()
            if name not in besides
        )

    def _difference(self, pairs: Sequence[tuple[int, int]]) -> Estimate | None:
        """Return the mean difference over pairs of conditions."""
        weights: dict[int, float] = {}
        for one, other in pairs:
            weights[one] = weights.get(one, 0.0) + 1 / len(pairs)
            weights[other] = weights.get(other, 0.0) - 1 / len(pairs)
        return self.trials.contrast(weights)

    def _tokens(self, pairs: Sequence[tuple[int, int]]) -> float | None:
        ones = sum(self.conditions[one].took.tokens for one, _ in pairs)
        others = sum(self.conditions[other].took.tokens for _, other in pairs)
        return ones / others if ones and others else None

    def _importance(self, factor: str) -> Importance | None:
        """Tell it of the conditions with synthetic rows, to which all factors apply, if any."""
        kept = [one for one in self.conditions if one.quantity] or self.conditions
        levels = [{name: one.levels[name] for name in self.factors} for one in kept]
        means = [one.scores[self.metric].value for one in kept]
        return importance(factor, levels, means, self.noise)

    def _knees(self) -> Iterator[Knee]:
        curves: dict[tuple[Level, ...], list[int]] = {}
        for place, one in enumerate(self.conditions):
            if one.quantity:
                curves.setdefault(tuple(_without(one, "quantity").values()), []).append(place)
        for places in curves.values():
            places.sort(key=lambda place: self.conditions[place].quantity)
            quantities = [self.conditions[place].quantity for place in places]
            if len(places) > 1:
                reach = knee(self.trials, Curve(quantities, places))
                if reach:
                    own = _without(self.conditions[places[0]], "quantity")
                    yield Knee(own, reach, quantities[0], quantities[-1])

    def _worths(self) -> Iterator[Worth]:
        alone = [place for place, one in enumerate(self.conditions) if not one.quantity]
        alone.sort(key=lambda place: self.conditions[place].rows_real)
        for place, one in enumerate(self.conditions):
            own = [raw for raw in alone if self._agree(raw, place, besides={"quantity", "real"})]
            rows = [self.conditions[raw].rows_real for raw in own]
            if one.quantity and own and len(set(rows)) == len(rows):
                reach = equivalent(self.trials, Curve(rows, own), place)
                if reach:
                    yield Worth(one, reach, rows[0], rows[-1])


def _arm(rows: Sequence[Mapping[str, Any]]) -> Arm:
    runs: dict[int, dict[int, str]] = {}
    for row in rows:
        runs.setdefault(row["replicate"], {})[row["repeat"]] = row["run"]
    return Arm(runs, rows[0]["is_random"])


def _without(one: ConditionScore, factor: str) -> dict[str, Level]:
    return {name: level for name, level in one.levels.items() if name != factor}


def _variance(values: Sequence[float]) -> float:
    """Return the variance of a condition's mean over draws; 0 where there is only one."""
    return float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0


def _share(found: FactorEffects) -> float:
    return found.importance.share if found.importance else -1.0
