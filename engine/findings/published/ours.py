"""A study's conditions by what published numbers are known by, and means over several of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.evaluate.intervals import Mean, mean_interval
from engine.findings.findings import Findings, Level, draws, level_names

Row = Mapping[str, Any]


class Key(NamedTuple):
    """What a condition has in common with a published number.

    Attributes:
        task: The task's name.
        method: How its synthetic rows were asked for; None for real rows alone.
        is_rephrased: Whether their texts were rephrased.
        quantity: Synthetic rows.
        real: Real rows.
    """

    task: str
    method: str | None
    is_rephrased: bool
    quantity: int
    real: int


@dataclass(frozen=True)
class Ours:
    """One of the study's conditions.

    Attributes:
        key: What published numbers know it by.
        levels: Its factors' levels.
        rows: Its results, by split.
    """

    key: Key
    levels: Mapping[str, Level]
    rows: Mapping[str, Sequence[Row]]

    def score(self, split: str, metric: str) -> Mean:
        """Return the mean of a metric on a split, with its interval."""
        return mean_interval(draws(self.rows[split], metric))

    @property
    def synthetic(self) -> float:
        """Synthetic rows trained on, on average: fewer than were asked for if it fell short."""
        rows = self.rows["test"]
        return float(sum(row["rows_synthetic"] for row in rows) / len(rows))


def ours(findings: Findings) -> list[Ours]:
    """Return a study's conditions that are scored on both splits, in the order of the grid."""
    names = level_names(findings)
    grouped: dict[tuple[Key, tuple[Level, ...]], dict[str, list[Row]]] = {}
    for row in findings.results:
        key = Key(*(row[name] for name in Key._fields))
        by_split = grouped.setdefault((key, tuple(row[name] for name in names)), {})
        by_split.setdefault(row["split"], []).append(row)
    return [
        Ours(key, dict(zip(names, levels, strict=True)), by_split)
        for (key, levels), by_split in grouped.items()
        if {"test", "validation"} <= set(by_split)
    ]


def apart(conditions: Sequence[Ours]) -> list[str]:
    """Return the names of the levels in which conditions differ."""
    names = conditions[0].levels if conditions else ()
    return [name for name in names if len({condition.levels[name] for condition in conditions}) > 1]


class Family(NamedTuple):
    """A condition of each method, alike in all that is no matter of the method.

    Attributes:
        levels: What sets the family apart from others.
        members: The conditions, one for each method.
    """

    levels: Mapping[str, Level]
    members: Sequence[Ours]


def families(conditions: Sequence[Ours]) -> list[Family]:
    """Sort conditions of several methods into families.

    A factor in which two conditions of one method differ, such as a learning rate, is no matter of
    the method, and sets families apart. A condition to which it does not apply is in all of them.
    """
    methods = dict.fromkeys(condition.key.method for condition in conditions)
    names = {
        name: None
        for method in methods
        for name in apart([condition for condition in conditions if condition.key.method == method])
    }
    settings = dict.fromkeys(
        tuple(condition.levels[name] for name in names) for condition in conditions
    )
    whole = [
        setting for setting in settings if not any(_is_part(setting, other) for other in settings)
    ]
    return [_family(dict(zip(names, setting, strict=True)), conditions) for setting in whole]


def _is_part(setting: tuple[Level, ...], other: tuple[Level, ...]) -> bool:
    """Tell whether one setting is like the other, but that some factors do not apply in it."""
    return setting != other and all(
        a is None or a == b for a, b in zip(setting, other, strict=True)
    )


def _family(levels: Mapping[str, Level], conditions: Sequence[Ours]) -> Family:
    whole = tuple(levels.values())
    settings = [tuple(condition.levels[name] for name in levels) for condition in conditions]
    exact = [
        condition
        for condition, setting in zip(conditions, settings, strict=True)
        if setting == whole
    ]
    parts = [
        condition
        for condition, setting in zip(conditions, settings, strict=True)
        if _is_part(setting, whole)
    ]
    members = {condition.key.method: condition for condition in reversed([*exact, *parts])}
    return Family(
        levels,
        [condition for condition in conditions if members[condition.key.method] is condition],
    )


def mean_over(members: Sequence[Ours], split: str, metric: str) -> Mean:
    """Return the mean over several conditions of their means, each counting the same.

    Its interval is over draws: replicates if there are several, else repeats. Those of one number
    go together, so that what they share is not taken for agreement. Where the conditions do not
    have the same draws there is no interval.
    """
    for number in ("replicate", "repeat"):
        taken = [_by_number(member.rows[split], number, metric) for member in members]
        if any(set(by_draw) != set(taken[0]) for by_draw in taken):
            break
        values = _together(taken)
        if len(values) > 1 or number == "repeat":
            return mean_interval(values)
    means = [member.score(split, metric).value for member in members]
    return Mean(sum(means) / len(means), None, None, 1)


class _Draw(NamedTuple):
    """What a condition scored in one draw, and the runs that it is the mean of."""

    value: float
    runs: frozenset[str]


def _by_number(rows: Sequence[Row], number: str, metric: str) -> dict[int, _Draw]:
    """Return a condition's draws; a run counts once, however many repeats it stands for."""
    by_draw: dict[int, dict[str, float]] = {}
    for row in rows:
        by_draw.setdefault(row[number], {})[row["run"]] = row[metric]
    return {
        draw: _Draw(sum(runs.values()) / len(runs), frozenset(runs))
        for draw, runs in by_draw.items()
    }


def _together(taken: Sequence[Mapping[int, _Draw]]) -> list[float]:
    """Return the mean over conditions in each draw; draws that are the very same runs are one."""
    distinct = {
        tuple(by_draw[number].runs for by_draw in taken): sum(
            by_draw[number].value for by_draw in taken
        )
        for number in taken[0]
    }
    return [total / len(taken) for total in distinct.values()]


def best(members: Sequence[Ours], split: str, metric: str) -> Ours:
    """Return the condition with the best mean of a metric on a split."""
    return max(members, key=lambda member: member.score(split, metric).value)
