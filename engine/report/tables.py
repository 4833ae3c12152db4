"""What a study found, as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from engine.evaluate.family import Tested
from engine.findings.analysis import TaskAnalysis
from engine.findings.findings import Diagnosis, Findings
from engine.findings.worth import bill
from engine.report.words import level_named, named
from engine.store.schema import RESULT_COLUMNS
from engine.study.resources import Annotation

COMPARED: Mapping[str, pa.DataType] = {
    "task": pa.string(),
    "family": pa.string(),  # the factor, or "leader"
    "one": pa.string(),  # a level, or the condition that is best on validation
    "other": pa.string(),  # the baseline, or another condition
    "cells": pa.int64(),  # pairs of conditions
    "difference": pa.float64(),  # by how much the one is above the other, -1 to 1
    "low": pa.float64(),  # of its 95% interval
    "high": pa.float64(),
    "p": pa.float64(),  # null where draws matter and there is only one
    "p_adjusted": pa.float64(),  # for the family
    "draws": pa.int64(),
}
WORTH: Mapping[str, pa.DataType] = {
    "task": pa.string(),
    "condition": pa.string(),
    "rows_synthetic": pa.float64(),
    "rows_real": pa.int64(),
    "tokens": pa.float64(),  # 0 where the engine counts none
    "engine_s": pa.float64(),
    "cost": pa.float64(),  # null without prices
    "real_rows": pa.float64(),  # that score the same alone; infinite beyond those that were tried
    "low": pa.float64(),  # of its 95% interval
    "high": pa.float64(),
    "further": pa.float64(),  # without its own real rows
    "labelling": pa.float64(),  # what labelling these would cost; null where that is not known
    "affords": pa.float64(),  # real rows that could be labelled for the cost; null likewise
}


class _Pair(NamedTuple):
    """Two levels or conditions that are compared, in words.

    Attributes:
        family: The factor whose levels they are, or "leader".
        first: The level, or the condition that is best on validation.
        second: The baseline, or another condition.
        cells: In how many pairs of conditions they are compared.
    """

    family: str
    first: str
    second: str
    cells: int


def comparisons_table(analyses: Sequence[TaskAnalysis]) -> pa.Table:
    """Return one row per comparison, with the columns of COMPARED."""
    rows = [row for analysis in analyses for row in _compared(analysis)]
    return pa.Table.from_pylist(rows, schema=pa.schema(COMPARED.items()))


def _compared(analysis: TaskAnalysis) -> Iterator[dict[str, Any]]:
    for effects in analysis.factors:
        for effect in effects.effects:
            level = level_named(effects.factor, effect.level)
            baseline = level_named(effects.factor, effects.baseline)
            pair = _Pair(effects.factor, level, baseline, effect.cells)
            yield from _row(analysis.task, pair, effect.tested)
    for condition, tested in zip(analysis.conditions, analysis.others, strict=True):
        pair = _Pair("leader", named(analysis.best), named(condition), cells=1)
        yield from _row(analysis.task, pair, tested)


def _row(task: str, pair: _Pair, tested: Tested | None) -> Iterator[dict[str, Any]]:
    if tested:
        yield {
            "task": task,
            "family": pair.family,
            "one": pair.first,
            "other": pair.second,
            "cells": pair.cells,
            "difference": tested.difference.value,
            "low": tested.difference.low,
            "high": tested.difference.high,
            "p": tested.difference.p,
            "p_adjusted": tested.p,
            "draws": tested.difference.draws,
        }


def worth_table(analyses: Sequence[TaskAnalysis], annotation: Annotation) -> pa.Table:
    """Return one row per condition whose worth is known, with the columns of WORTH."""
    rows = []
    for analysis in analyses:
        for worth in analysis.worths:
            billed, condition = bill(worth, annotation), worth.condition
            rows.append(
                {
                    "task": analysis.task,
                    "condition": named(condition),
                    "rows_synthetic": condition.rows_synthetic,
                    "rows_real": condition.rows_real,
                    **condition.took._asdict(),
                    "real_rows": worth.reach.rows,
                    "low": worth.reach.low,
                    "high": worth.reach.high,
                    "further": worth.further.rows,
                    "labelling": billed.labelling,
                    "affords": billed.affords,
                }
            )
    return pa.Table.from_pylist(rows, schema=pa.schema(WORTH.items()))


BASELINE_COLUMNS: Mapping[str, pa.DataType] = {
    "task": pa.string(),
    "llm": pa.string(),
    "engine": pa.string(),
    "constrained": pa.bool_(),  # whether answers were held to the labels
    "shots": pa.int64(),
    "replicate": pa.int64(),  # null without shots, which is the same in all replicates
    "split": pa.string(),
    "rows": pa.int64(),
    "unanswered": pa.int64(),  # rows without one label in the answer; they count as wrong
    "errors": pa.int64(),  # those of them that the engine could not answer at all
    "error": pa.string(),  # the first of these
    "accuracy": pa.float64(),
    "macro_f1": pa.float64(),
    "prompt_tokens": pa.int64(),  # 0 where the engine counts none
    "completion_tokens": pa.int64(),
    "pool": pa.string(),
}


def baseline_table(findings: Findings) -> pa.Table:
    """Return one row per baseline, replicate and split, with the columns of BASELINE_COLUMNS."""
    return pa.Table.from_pylist(
        list(findings.baselines), schema=pa.schema(BASELINE_COLUMNS.items())
    )


DIAGNOSIS_COLUMNS: Mapping[str, pa.DataType] = {
    "name": pa.string(),
    "task": pa.string(),
    "method": pa.string(),  # null for real rows
    "is_rephrased": pa.bool_(),
    "replicate": pa.int64(),
    "rows": pa.int64(),
    "inter": pa.float64(),  # null for fewer than two rows
    "to_real": pa.float64(),  # null for real rows, and without any
    "trivial": pa.int64(),  # null where the task lists no words
    "trivial_per_1000": pa.float64(),  # likewise
}


def diagnostics_table(findings: Findings) -> pa.Table:
    """Return one row per view, and per replicate's real rows: the columns of DIAGNOSIS_COLUMNS."""
    rows = [
        {**diagnosis._asdict(), "trivial_per_1000": per_thousand(diagnosis)}
        for diagnosis in findings.diagnostics
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(DIAGNOSIS_COLUMNS.items()))


def per_thousand(diagnosis: Diagnosis) -> float | None:
    """Return how many of 1,000 rows are trivial; None where that is not known."""
    if diagnosis.trivial is None or not diagnosis.rows:
        return None
    return 1000 * diagnosis.trivial / diagnosis.rows


def results_table(findings: Findings) -> pa.Table:
    """Return one row per run and split; a column per factor, then those of RESULT_COLUMNS."""
    factors = [name for name in findings.factors if name not in RESULT_COLUMNS]
    columns: dict[str, pa.Array] = {}
    for name in [*factors, *RESULT_COLUMNS]:
        columns[name] = _column([row[name] for row in findings.results], RESULT_TYPES.get(name))
    return pa.table(columns)


RESULT_TYPES = {
    **{name: pa.int64() for name in ("quantity", "real", "replicate", "repeat", "steps_done")},
    **{name: pa.int64() for name in ("rows_synthetic", "rows_real", "rows_real_seen")},
    **{name: pa.float64() for name in ("accuracy", "macro_f1", "train_seconds")},
    **{name: pa.string() for name in ("split", "pool", "run")},
}


def _column(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    """Return a column; a factor whose levels are of several kinds is written as text."""
    kinds = {type(value) for value in values if value is not None}
    if kind is None and len(kinds) > 1 and not kinds <= {int, float}:
        values = [None if value is None else str(value) for value in values]
    elif kind is None and kinds == {int, float}:
        kind = pa.float64()
    return pa.array(values, kind)
