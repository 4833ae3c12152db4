"""Published numbers beside a study's own.

A published number has no interval, so that a difference is a difference and nothing more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.evaluate.intervals import Mean, mean_interval
from engine.findings.baselines import BaselineScore, baseline_scores
from engine.findings.findings import Diagnosis, Findings
from engine.findings.published.ours import Family, Key, Ours, apart, best, families, mean_over, ours
from engine.study.published.reading import UNITS, Cell, Group, Measure, Note, Published, notes_for

POINTS = 100  # scores are fractions here, and points in what is published


@dataclass(frozen=True)
class Line:
    """A published number, and one of the study's beside it.

    Attributes:
        cell: The published number.
        of: What it is of, in words.
        here: The study's, in the same unit.
        which: Which of the study's it is, in words; "" if there is no other.
    """

    cell: Cell
    of: str
    here: Mean
    which: str

    @property
    def difference(self) -> float:
        """How much more the study has than was published."""
        return self.here.value - self.cell.value


@dataclass(frozen=True)
class Table:
    """The lines of one published figure or table.

    Attributes:
        group: The figure or table.
        lines: Its numbers that the study has something beside.
        notes: What concerns them.
    """

    group: Group
    lines: Sequence[Line]
    notes: Sequence[Note]

    @property
    def has_rows(self) -> bool:
        """Whether its numbers are of training sets of so many rows."""
        return any(line.cell.quantity or line.cell.real for line in self.lines)

    @property
    def has_words(self) -> bool:
        """Whether any line has to say which of the study's numbers it is."""
        return any(line.which for line in self.lines)

    @property
    def shown(self) -> int:
        """How many published numbers have something beside them."""
        return len({line.cell for line in self.lines})


class Comparison(NamedTuple):
    """What a paper published beside what a study found.

    Attributes:
        published: What it published.
        tables: The figures and tables of which the study has anything.
        notes: What concerns all of their numbers.
    """

    published: Published
    tables: Sequence[Table]
    notes: Sequence[Note]


def compare(findings: Findings) -> Comparison | None:
    """Set published numbers beside a study's; None if it names none."""
    published = findings.published
    if published is None:
        return None
    conditions = ours(findings)
    tables = [_table(group, conditions, findings) for group in published.groups]
    tables = [table for table in tables if table.lines]
    cells = [line.cell for table in tables for line in table.lines]
    return Comparison(published, tables, notes_for(published.notes, cells))


def _table(group: Group, conditions: Sequence[Ours], findings: Findings) -> Table:
    lines = [line for cell in group.cells for line in _lines(group, cell, conditions, findings)]
    return Table(group, lines, notes_for(group.notes, [line.cell for line in lines]))


def _lines(
    group: Group, cell: Cell, conditions: Sequence[Ours], findings: Findings
) -> Iterator[Line]:
    if group.measure in ("inter", "to_real", "trivial"):
        return _diagnosed(group.measure, cell, findings.diagnostics)
    if cell.reading == "llm":
        return _asked(group.measure, cell, findings)
    if cell.reading == "cell":
        return _single(group.measure, cell, conditions)
    return _over_methods(group, cell, conditions)


def _single(measure: Measure, cell: Cell, conditions: Sequence[Ours]) -> Iterator[Line]:
    same = [
        condition
        for condition in conditions
        if condition.key == _key(cell, cell.method, cell.is_rephrased)
    ]
    names = apart(same)
    for condition in same:
        which = [*_levels(condition, names), *_shortfall(condition)]
        yield Line(cell, _of(cell), _test(condition, measure), ", ".join(which))


def _over_methods(group: Group, cell: Cell, conditions: Sequence[Ours]) -> Iterator[Line]:
    keys = {
        _key(cell, method, cell.is_rephrased and method not in group.never_rephrased)
        for method in group.methods
    }
    for family in families([condition for condition in conditions if condition.key in keys]):
        read = _best_lines if cell.reading == "best_of" else _mean_lines
        yield from read(group, cell, family)


def _mean_lines(group: Group, cell: Cell, family: Family) -> Iterator[Line]:
    measure, share = group.measure, _share(group, family)
    validated, highest = _best_of(family, measure)
    which = (
        f"{_levels_of(family)}mean over {share}; best of them on validation: "
        f"{validated.key.method} {shown(_test(validated, measure), measure)}, on test itself: "
        f"{highest.key.method} {in_unit(_test(highest, measure).value, measure)}"
    )
    yield Line(cell, _of_methods("mean over", group), _mean(family, measure), which)


def _best_lines(group: Group, cell: Cell, family: Family) -> Iterator[Line]:
    measure, share = group.measure, _share(group, family)
    of, prefix = _of_methods("best of", group), _levels_of(family)
    validated, highest = _best_of(family, measure)
    mean = shown(_mean(family, measure), measure)
    which = f"{prefix}{validated.key.method}, best of {share} on validation; their mean is {mean}"
    yield Line(cell, of, _test(validated, measure), which)
    # the highest of several means is not one mean with its interval any more
    value = Mean(_test(highest, measure).value, None, None, 1)
    which = f"{prefix}{highest.key.method}, best of {share} on test itself"
    yield Line(cell, of, value, which)


def _best_of(family: Family, measure: Measure) -> tuple[Ours, Ours]:
    """Return the condition that is best on validation, and the one that is best on test."""
    validated = best(family.members, "validation", measure)
    return validated, best(family.members, "test", measure)


def _test(condition: Ours, measure: Measure) -> Mean:
    return _points(condition.score("test", measure))


def _mean(family: Family, measure: Measure) -> Mean:
    return _points(mean_over(family.members, "test", measure))


def _asked(measure: Measure, cell: Cell, findings: Findings) -> Iterator[Line]:
    rows = [row for row in findings.baselines if row["task"] == cell.task]
    scores = baseline_scores(replace(findings, baselines=rows))
    for llm in dict.fromkeys(score.llm for score in scores):
        of_llm = [score for score in scores if score.llm == llm]
        chosen = max(of_llm, key=lambda score: score.validation.scores[measure].value)
        which = f"{llm}, {_shots(chosen, of_llm)}"
        yield Line(cell, "the LLM itself", _points(chosen.test.scores[measure]), which)


def _shots(chosen: BaselineScore, scores: Sequence[BaselineScore]) -> str:
    tried = " and ".join(str(score.shots) for score in scores)
    return f"shots {chosen.shots}" + (f", best of {tried} on validation" if scores[1:] else "")


def _diagnosed(measure: Measure, cell: Cell, diagnoses: Sequence[Diagnosis]) -> Iterator[Line]:
    wanted = (cell.task, cell.method, cell.is_rephrased)
    named: dict[str, list[float]] = {}
    rows: dict[str, int] = {}
    for diagnosis in diagnoses:
        value = _diagnostic(diagnosis, measure)
        is_of_cell = (diagnosis.task, diagnosis.method, diagnosis.is_rephrased) == wanted
        if is_of_cell and value is not None:
            name = _without_replicate(diagnosis)
            named.setdefault(name, []).append(value)
            rows[name] = max(rows.get(name, 0), diagnosis.rows)
    for name, values in named.items():
        which = f"{rows[name]} rows" + (f", {name}" if len(named) > 1 else "")
        yield Line(cell, _of(cell), mean_interval(values), which)


def _diagnostic(diagnosis: Diagnosis, measure: Measure) -> float | None:
    if measure == "trivial":
        return None if diagnosis.trivial is None else 1000 * diagnosis.trivial / diagnosis.rows
    return diagnosis.inter if measure == "inter" else diagnosis.to_real


def _without_replicate(diagnosis: Diagnosis) -> str:
    """Return what a diagnosis is of, its replicate aside: replicates are one mean."""
    return diagnosis.name.removesuffix(f"replicate {diagnosis.replicate}").rstrip(", ")


def _key(cell: Cell, method: str | None, is_rephrased: bool) -> Key:
    return Key(cell.task, method, is_rephrased, cell.quantity, cell.real)


def _points(mean: Mean) -> Mean:
    low, high = (None if end is None else POINTS * end for end in (mean.low, mean.high))
    return Mean(POINTS * mean.value, low, high, mean.repeats)


def _of(cell: Cell) -> str:
    if cell.method is None:
        return "real rows alone"
    return f"{cell.method}, rephrased" if cell.is_rephrased else cell.method


def _of_methods(how: str, group: Group) -> str:
    return f"{how} {len(group.methods)} methods"


def _share(group: Group, family: Family) -> str:
    have, all_ = len(family.members), len(group.methods)
    return f"{have} of {all_} methods" if have < all_ else f"all {all_} methods"


def _levels(condition: Ours, names: Sequence[str]) -> list[str]:
    return [
        f"{name} {condition.levels[name]}" for name in names if condition.levels[name] is not None
    ]


def _levels_of(family: Family) -> str:
    words = [f"{name} {level}" for name, level in family.levels.items() if level is not None]
    return f"{', '.join(words)}: " if words else ""


def _shortfall(condition: Ours) -> list[str]:
    rows, wanted = condition.synthetic, condition.key.quantity
    return [f"{rows:.0f} of {wanted} synthetic rows"] if rows < wanted else []


def shown(mean: Mean, measure: Measure) -> str:
    """Return a mean in a measure's unit, with its interval, such as ``84.1 [82.0, 86.2]``."""
    value = in_unit(mean.value, measure)
    if mean.low is None or mean.high is None:
        return value
    return f"{value} [{in_unit(mean.low, measure)}, {in_unit(mean.high, measure)}]"


def in_unit(value: float, measure: Measure) -> str:
    """Return a value with the decimals of its measure."""
    return f"{value:.{UNITS[measure].digits}f}"


def signed(difference: float, measure: Measure) -> str:
    """Return a difference with the decimals of its measure, and its sign."""
    return f"{difference:+.{UNITS[measure].digits}f}"


def measured(measure: Measure) -> str:
    """Return what a measure is, and in which unit."""
    return UNITS[measure].name
