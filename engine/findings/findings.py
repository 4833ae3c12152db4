"""What a study found, ready to be shown: values only, no paths into the store's inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.evaluate.bootstrap import Numbers
from engine.evaluate.intervals import Mean, mean_interval
from engine.store.schema import Metric
from engine.study.published.reading import Published
from engine.study.resources import Annotation

METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1")
Level = str | int | float | bool | None


class Source(NamedTuple):
    """What became of one view's rows.

    Attributes:
        name: The factor levels that it stands for.
        pool: The pool's folder.
        view: The view's folder.
        rows: Rows judged.
        accepted: Rows accepted.
        refused: Rows refused, by reason, most frequent first.
        tokens: Completion tokens; 0 where the engine counts none.
        seconds: Time that engines spent on its pool, without their starts.
        cost: What that cost at the study's prices; None without any.
    """

    name: str
    pool: str
    view: str
    rows: int
    accepted: int
    refused: Mapping[str, int]
    tokens: int
    seconds: float
    cost: float | None = None


class Expense(NamedTuple):
    """What it took to make rows, all that they are made from among it.

    Attributes:
        tokens: Tokens of prompts and completions; 0 where the engine counts none.
        engine_s: Seconds of engines, without their starts.
        cost: Money, at the study's prices; None without any.
    """

    tokens: float
    engine_s: float
    cost: float | None


NOTHING = Expense(0.0, 0.0, None)


class TaskFacts(NamedTuple):
    """What a report says of a task.

    Attributes:
        labels: Its labels.
        gold_rows: Rows of each split.
    """

    labels: Sequence[str]
    gold_rows: Mapping[str, int]


class Diagnosis(NamedTuple):
    """How alike some rows are, and how many of them are trivial.

    Attributes:
        name: What tells them from the study's others: as of the view's Source, or "real rows".
        task: The task's name.
        method: The strategy, with its shots for ``few_shot``; the engine where it reads no prompts;
            None for real rows.
        is_rephrased: Whether the rows were worded anew without sight of their label.
        replicate: Number of the draw.
        rows: How many rows were looked at.
        inter: Mean cosine of two different rows, -1 to 1; None for fewer than two.
        to_real: Mean cosine of a row and a real one; None for real rows, and without any.
        trivial: Rows that hold a word which gives their label away; None where the task lists none.
    """

    name: str
    task: str
    method: str | None
    is_rephrased: bool
    replicate: int
    rows: int
    inter: float | None
    to_real: float | None
    trivial: int | None


@dataclass(frozen=True, eq=False)
class Findings:
    """What a study found.

    Attributes:
        name: The study's name.
        tasks: Its tasks, by name.
        factors: The factors' names, ``task`` among them where there are several.
        results: One row per repeat and split: the columns of RESULT_COLUMNS and the factors, and
            what published numbers know it by: ``task``, ``method`` (None for real rows alone; the
            strategy, such as "few_shot_3") and ``is_rephrased``; and ``is_random``, whether its
            trainer draws anything, and ``took``, what its synthetic rows took (Expense). Repeats of
            a trainer that draws nothing name one and the same ``run``.
        sources: What became of the synthetic rows.
        repeats: Trainings per condition, of those trainers whose repeats differ.
        replicates: Draws of the data.
        runs: How many runs the study has in all.
        problems: What failed or fell short, a sentence each.
        settings: What is the same in all conditions that read it, by name.
        recipe: What is the same in the recipes of all synthetic rows, by name.
        caveat: What a reader must know before any number, or "".
        drawless: The trainers among them that draw nothing, so that their repeats are one run.
        baselines: What the LLM itself scored, one row per baseline and split: the columns of
            ``engine.report.tables.BASELINE_COLUMNS``.
        published: Numbers that the report sets beside the study's own.
        diagnostics: How alike the views' rows are, and the real rows that they were set beside.
        encoder: What told that, or "".
        metric: What conditions are compared by, and the best of them is chosen by.
        gold: The test rows' label numbers, by task.
        predicted: Label numbers that each run predicted for them, by the run.
        annotation: What it is to label real rows.
        is_replayed: Whether synthetic rows come from files, the same ones for each replicate.
    """

    name: str
    tasks: Mapping[str, TaskFacts]
    factors: Sequence[str]
    results: Sequence[Mapping[str, Any]]
    sources: Sequence[Source]
    repeats: int
    replicates: int
    runs: int
    problems: Sequence[str]
    settings: Mapping[str, Any]
    recipe: Mapping[str, Any]
    caveat: str
    drawless: Sequence[str]
    baselines: Sequence[Mapping[str, Any]] = ()
    published: Published | None = None
    diagnostics: Sequence[Diagnosis] = ()
    encoder: str = ""
    metric: Metric = "accuracy"
    gold: Mapping[str, Sequence[int]] = field(default_factory=dict)
    predicted: Mapping[str, Numbers] = field(default_factory=dict)
    annotation: Annotation = field(default_factory=Annotation)
    is_replayed: bool = False

    @property
    def replicates_made(self) -> int:
        """How many draws of the data any run has seen so far."""
        return len({row["replicate"] for row in self.results})

    @property
    def runs_made(self) -> int:
        """How many runs are there, conditions that share one counted each, repeats that do once."""
        names = [*level_names(self), "replicate", "run"]
        return len({tuple(row[name] for name in names) for row in self.results})

    @property
    def folder(self) -> str:
        """The study's folder in the store."""
        return f"studies/{self.name}"


@dataclass(frozen=True)
class ConditionScore:
    """One condition's scores on one split.

    Attributes:
        task: The task.
        levels: Each factor's level, with ``quantity`` and ``real``.
        quantity: Synthetic rows asked for.
        real: Real rows asked for.
        scores: Mean and interval of each metric: over repeats, or with several replicates over
            their means, since repeats on one draw of the data say nothing of other draws.
        rows_synthetic: Synthetic rows trained on, on average.
        rows_real: Real rows trained on.
        rows_real_seen: Real rows seen, in training or in prompts.
        train_seconds: Mean seconds of training.
        took: What its synthetic rows took, on average.
    """

    task: str
    levels: Mapping[str, Level]
    quantity: int
    real: int
    scores: Mapping[str, Mean]
    rows_synthetic: float
    rows_real: int
    rows_real_seen: int
    train_seconds: float
    took: Expense = NOTHING


def condition_scores(findings: Findings, split: str) -> list[ConditionScore]:
    """Return each condition's scores on a split, in the order of the grid."""
    return [_score(level_names(findings), rows) for rows in condition_rows(findings, split)]


def condition_rows(findings: Findings, split: str) -> list[list[Mapping[str, Any]]]:
    """Return each condition's results on a split, in the order of the grid."""
    names = level_names(findings)
    grouped: dict[tuple[Level, ...], list[Mapping[str, Any]]] = {}
    for row in findings.results:
        if row["split"] == split:
            grouped.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(grouped.values())


def level_names(findings: Findings) -> list[str]:
    """Return the columns that tell conditions apart."""
    factors = [name for name in findings.factors if name not in ("quantity", "real")]
    return [*factors, "quantity", "real"]


def _score(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> ConditionScore:
    return ConditionScore(
        task=rows[0]["task"],
        levels={name: rows[0][name] for name in names},
        quantity=rows[0]["quantity"],
        real=rows[0]["real"],
        scores={metric: mean_interval(draws(rows, metric)) for metric in METRICS},
        rows_synthetic=sum(row["rows_synthetic"] for row in rows) / len(rows),
        rows_real=rows[0]["rows_real"],
        rows_real_seen=rows[0]["rows_real_seen"],
        train_seconds=sum(row["train_seconds"] for row in rows) / len(rows),
        took=_mean_took([row.get("took", NOTHING) for row in rows]),
    )


def _mean_took(expenses: Sequence[Expense]) -> Expense:
    costs = [expense.cost for expense in expenses if expense.cost is not None]
    count = len(expenses)
    return Expense(
        sum(expense.tokens for expense in expenses) / count,
        sum(expense.engine_s for expense in expenses) / count,
        sum(costs) / count if costs else None,
    )


def draws(rows: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    """Return the independent values that a condition's mean is taken over.

    A run counts once, however many repeats it stands for. Replicates that came to the very same
    runs, such as those of recorded rows without real ones, are one draw.
    """
    by_replicate: dict[int, dict[str, float]] = {}
    for row in rows:
        by_replicate.setdefault(row["replicate"], {})[row["run"]] = row[metric]
    distinct = {frozenset(runs): list(runs.values()) for runs in by_replicate.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    return [sum(values) / len(values) for values in distinct.values()]
