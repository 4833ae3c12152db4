"""Write a study's results: tables in Parquet, report.md, report.html, figures."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.evaluate.intervals import Mean
from engine.report.baseline import (
    ahead,
    baseline_scores,
    baseline_table,
    best_baselines,
    shots_shown,
)
from engine.report.diagnosis import diagnostics_table, per_thousand
from engine.report.figure import as_png, as_svg, quantity_figure
from engine.report.findings import METRICS, ConditionScore, Findings, condition_scores, level_names
from engine.report.published.compare import compare, in_unit, measured, shown, signed
from engine.schema import RESULT_COLUMNS
from engine.store import Store

FEW_DRAWS = 3  # below this an interval says little


def write_report(findings: Findings, store: Store) -> None:
    """Write or replace what a study's folder shows."""
    folder = findings.folder
    store.publish(f"{folder}/results.parquet", _parquet(results_table(findings)))
    for name, rows, table in (
        ("baselines", findings.baselines, baseline_table),
        ("diagnostics", findings.diagnostics, diagnostics_table),
    ):
        file = f"{folder}/{name}.parquet"
        if rows or store.has(file):  # of a study that has none any more: no rows
            store.publish(file, _parquet(table(findings)))
    conditions = condition_scores(findings, "test")
    drawings: dict[str, str] = {}
    for metric in METRICS if conditions else ():
        figure = quantity_figure(conditions, metric)
        drawings[metric] = as_svg(figure)
        store.publish(f"{folder}/figures/{metric}.svg", drawings[metric].encode())
        store.publish(f"{folder}/figures/{metric}.png", as_png(figure))
    facts = _facts(findings)
    for template, name in (("report.md.jinja", "report.md"), ("report.html.jinja", "report.html")):
        page = _render(template, findings=findings, drawings=drawings, **facts)
        store.publish(f"{folder}/{name}", page.encode())


def results_table(findings: Findings) -> pa.Table:
    """Return one row per run and split; a column per factor, then those of RESULT_COLUMNS."""
    own = [name for name in findings.factors if name not in RESULT_COLUMNS]
    columns: dict[str, pa.Array] = {}
    for name in [*own, *RESULT_COLUMNS]:
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


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _facts(findings: Findings) -> dict[str, Any]:
    names, llms = level_names(findings), best_baselines(findings)
    by_split = {split: condition_scores(findings, split) for split in ("test", "validation")}
    validation = {tuple(one.levels.values()): one for one in by_split["validation"]}
    rows = [(one, validation[tuple(one.levels.values())]) for one in by_split["test"]]
    reasons = sorted({reason for source in findings.sources for reason in source.refused})
    return {
        "names": names,
        "rows": rows,
        "reasons": reasons,
        "best": best(findings),
        "tops": [test.levels for test, _ in best(findings).values()],
        "few_draws": has_few_draws(findings),
        "scope": scope(findings),
        "drawless": drawless(findings),
        "baselines": baseline_scores(findings),
        "llms": llms,
        "comparison": compare(findings),
        "counts_trivial": any(one.trivial is not None for one in findings.diagnostics),
        "has_tasks": len({one.task for one in findings.diagnostics}) > 1,
        "ahead": [ahead(test, llms[test.task]) if test.task in llms else None for test, _ in rows],
    }


def best(findings: Findings) -> dict[str, tuple[ConditionScore, ConditionScore]]:
    """Return for each task the test and validation scores of its best condition on validation."""
    found: dict[str, tuple[ConditionScore, ConditionScore]] = {}
    for pair in zip(
        condition_scores(findings, "test"), condition_scores(findings, "validation"), strict=True
    ):
        known = found.setdefault(pair[0].task, pair)
        if pair[1].scores["accuracy"].value > known[1].scores["accuracy"].value:
            found[pair[0].task] = pair
    return found


def has_few_draws(findings: Findings) -> bool:
    """Tell whether intervals are over so few draws that they say little."""
    return _draws(findings) < FEW_DRAWS


def _draws(findings: Findings) -> int:
    return findings.replicates if findings.replicates > 1 else findings.repeats


def scope(findings: Findings) -> str:
    """Return what the intervals speak of."""
    if findings.replicates == 1:
        upto = "up to " if findings.drawless and findings.repeats > 1 else ""
        plural = "s" if findings.repeats > 1 else ""
        return f"over {upto}{findings.repeats} repeat{plural}; this pool"
    return f"over the means of {findings.replicates} replicates"


def drawless(findings: Findings) -> str:
    """Return what is to be said of trainers that draw nothing, or "" where there are none."""
    return " ".join(
        f"The trainer {name} has no random draws: its repeats are one run, and only replicates "
        "give it an interval."
        for name in findings.drawless
    )


def _render(template: str, **values: Any) -> str:  # noqa: ANN401 - what templates show
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("engine.report", ""),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["score"] = show_score
    environment.filters["shots"] = shots_shown
    environment.filters["or_dash"] = show_or_dash
    environment.filters["per_thousand"] = per_thousand
    for words in (in_unit, measured, shown, signed):
        environment.filters[words.__name__] = words
    return environment.get_template(template).render(**values)


def show_score(mean: Mean) -> str:
    """Return a score in points with its interval, such as ``84.1 [82.0, 86.2]``."""
    if mean.low is None or mean.high is None:
        return f"{100 * mean.value:.1f}"
    return f"{100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]"


def show_or_dash(value: float | None, form: str) -> str:
    """Return a number in a form such as ``%.3f``; a dash where there is none."""
    return "\u2013" if value is None else form % value
