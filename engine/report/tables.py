"""Comparisons, knees and worth as tables."""

from collections.abc import Iterator, Mapping, Sequence
from math import isinf
from typing import Any

import pyarrow as pa

from engine.evaluate.curve import Reach
from engine.evaluate.family import Tested
from engine.report.analysis import TaskAnalysis
from engine.report.words import about, level_named, named
from engine.report.worth import bill
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


def comparisons_table(analyses: Sequence[TaskAnalysis]) -> pa.Table:
    """Return one row per comparison, with the columns of COMPARED."""
    rows = [row for one in analyses for row in _compared(one)]
    return pa.Table.from_pylist(rows, schema=pa.schema(COMPARED.items()))


def _compared(analysis: TaskAnalysis) -> Iterator[dict[str, Any]]:
    for found in analysis.factors:
        for effect in found.effects:
            one, other = (
                level_named(found.factor, level) for level in (effect.level, found.baseline)
            )
            yield from _row(analysis, found.factor, one, other, effect.cells, effect.tested)
    for condition, tested in zip(analysis.conditions, analysis.others, strict=True):
        yield from _row(analysis, "leader", named(analysis.best), named(condition), 1, tested)


def _row(  # noqa: PLR0913 - what a row has
    analysis: TaskAnalysis, family: str, one: str, other: str, cells: int, tested: Tested | None
) -> Iterator[dict[str, Any]]:
    if tested:
        yield {
            "task": analysis.task,
            "family": family,
            "one": one,
            "other": other,
            "cells": cells,
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
        for one in analysis.worths:
            own, condition = bill(one, annotation), one.condition
            rows.append(
                {
                    "task": analysis.task,
                    "condition": named(condition),
                    "rows_synthetic": condition.rows_synthetic,
                    "rows_real": condition.rows_real,
                    **condition.took._asdict(),
                    "real_rows": one.reach.rows,
                    "low": one.reach.low,
                    "high": one.reach.high,
                    "further": one.further.rows,
                    "labelling": own.labelling,
                    "affords": own.affords,
                }
            )
    return pa.Table.from_pylist(rows, schema=pa.schema(WORTH.items()))


def show_tested(tested: Tested | None) -> str:
    """Return a difference in points with its interval, such as ``+3.1 [1.2, 5.0]``."""
    if tested is None:
        return "\u2013"
    value, low, high = (100 * one for one in tested.difference[:3])
    return f"{value:+.1f} [{low:.1f}, {high:.1f}]"


def show_p(tested: Tested | None) -> str:
    """Return an adjusted p, such as ``0.012``."""
    if tested is None or tested.p is None:
        return "\u2013"
    return "< 0.001" if tested.p < 0.001 else f"{tested.p:.3f}"


def show_reach(reach: Reach, fewest: float, most: float) -> str:
    """Return a number of rows with its interval, such as ``240 [180, 330]``.

    Args:
        reach: The number.
        fewest: What is said for what lies below the numbers that were tried.
        most: What is said for what lies above them.
    """
    value, low, high = (_end(one, fewest, most) for one in (reach.rows, reach.low, reach.high))
    return f"{value} [{low}, {high}]"


def _end(rows: float, fewest: float, most: float) -> str:
    if isinf(rows):
        return f"> {most:,.0f}" if rows > 0 else f"< {fewest:,.0f}"
    return about(rows)
