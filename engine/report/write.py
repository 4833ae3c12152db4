"""Write a study's results: tables in Parquet, report.md, report.html, figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from engine.evaluate.importance import Importance
from engine.evaluate.intervals import Mean
from engine.report.analysis import TaskAnalysis, analyse
from engine.report.baseline import (
    ahead,
    baseline_scores,
    baseline_table,
    best_baselines,
    shots_shown,
)
from engine.report.diagnosis import diagnostics_table, per_thousand
from engine.report.effects import (
    comparisons_table,
    show_p,
    show_reach,
    show_tested,
    worth_table,
)
from engine.report.figure import as_png, as_svg, cost_figure, quantity_figure
from engine.report.findings import METRICS, ConditionScore, Findings, condition_scores, level_names
from engine.report.page import as_parquet, render
from engine.report.published.compare import compare, in_unit, measured, shown, signed
from engine.report.words import METRIC_NAMES, curve_named, level_named, named, summary
from engine.report.worth import PUBLISHED, bill
from engine.schema import RESULT_COLUMNS
from engine.store import Store

COMPARING = (named, curve_named, show_tested, show_p, show_reach)
FEW_DRAWS = 3  # below this an interval says little


def write_report(findings: Findings, store: Store) -> None:
    """Write or replace what a study's folder shows."""
    folder = findings.folder
    store.publish(f"{folder}/results.parquet", as_parquet(results_table(findings)))
    for name, rows, table in (
        ("baselines", findings.baselines, baseline_table),
        ("diagnostics", findings.diagnostics, diagnostics_table),
    ):
        file = f"{folder}/{name}.parquet"
        if rows or store.has(file):  # of a study that has none any more: no rows
            store.publish(file, as_parquet(table(findings)))
    conditions = condition_scores(findings, "test")
    analyses = analyse(findings)
    for name, table in (
        ("comparisons", comparisons_table(analyses)),
        ("worth", worth_table(analyses, findings.annotation)),
    ):
        store.publish(f"{folder}/{name}.parquet", as_parquet(table))
    drawings: dict[str, str] = {}
    for name, figure in _figures(findings, conditions, analyses).items():
        drawings[name] = as_svg(figure)
        store.publish(f"{folder}/figures/{name}.svg", drawings[name].encode())
        store.publish(f"{folder}/figures/{name}.png", as_png(figure))
    facts = _facts(findings, analyses)
    for template, name in (("report.md.jinja", "report.md"), ("report.html.jinja", "report.html")):
        page = render(
            "engine.report", template, FILTERS, findings=findings, drawings=drawings, **facts
        )
        store.publish(f"{folder}/{name}", page.encode())


def _figures(
    findings: Findings, conditions: Sequence[ConditionScore], analyses: Sequence[TaskAnalysis]
) -> dict[str, Any]:
    if not conditions:
        return {}
    knees = [one for analysis in analyses for one in analysis.knees]
    found: dict[str, Any] = {
        metric: quantity_figure(conditions, metric, knees if metric == findings.metric else ())
        for metric in METRICS
    }
    if any(one.took.tokens for one in conditions):
        found["cost"] = cost_figure(conditions, findings.metric)
    return found


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


def _facts(findings: Findings, analyses: Sequence[TaskAnalysis]) -> dict[str, Any]:
    names, llms = level_names(findings), best_baselines(findings)
    by_split = {split: condition_scores(findings, split) for split in ("test", "validation")}
    rows = list(zip(by_split["test"], by_split["validation"], strict=True))
    reasons = sorted({reason for source in findings.sources for reason in source.refused})
    return {
        "names": names,
        "rows": rows,
        "reasons": reasons,
        "analyses": analyses,
        "metric": METRIC_NAMES[findings.metric],
        "leaders": [one.best.levels for one in analyses],
        "has_effects": any(one.factors for one in analyses),
        "has_p": any(tested and tested.p is not None for one in analyses for tested in one.others),
        "has_knees": any(one.knees for one in analyses),
        "has_worths": any(one.worths for one in analyses),
        "published_labelling": PUBLISHED,
        "behind": [tested for one in analyses for tested in one.others],
        "summaries": {one.task: summary(one, findings) for one in analyses},
        "bills": {
            one.task: [(worth, bill(worth, findings.annotation)) for worth in one.worths]
            for one in analyses
        },
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


def has_few_draws(findings: Findings) -> bool:
    """Tell whether intervals are over so few draws that they say little."""
    return _draws(findings) < FEW_DRAWS


def _draws(findings: Findings) -> int:
    return findings.replicates_made if findings.replicates_made > 1 else findings.repeats


def scope(findings: Findings) -> str:
    """Return what the intervals speak of."""
    if findings.replicates_made < 2:
        upto = "up to " if findings.drawless and findings.repeats > 1 else ""
        plural = "s" if findings.repeats > 1 else ""
        return f"over {upto}{findings.repeats} repeat{plural}; this pool"
    return f"over the means of {findings.replicates_made} replicates"


def drawless(findings: Findings) -> str:
    """Return what is to be said of trainers that draw nothing, or "" where there are none."""
    return " ".join(
        f"The trainer {name} has no random draws: its repeats are one run, and only replicates "
        "give it an interval."
        for name in findings.drawless
    )


def show_score(mean: Mean) -> str:
    """Return a score in points with its interval, such as ``84.1 [82.0, 86.2]``."""
    if mean.low is None or mean.high is None:
        return f"{100 * mean.value:.1f}"
    return f"{100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]"


def show_or_dash(value: float | None, form: str) -> str:
    """Return a number in a form such as ``%.3f``; a dash where there is none."""
    return "\u2013" if value is None else form % value


def show_share(found: Importance | None) -> str:
    """Return a factor's importance, such as ``61%``."""
    return "\u2013" if found is None else f"{100 * found.share:.0f}%"


FILTERS: Mapping[str, Callable[..., str | float | None]] = {
    "score": show_score,
    "shots": shots_shown,
    "or_dash": show_or_dash,
    "per_thousand": per_thousand,
    "level": lambda level, factor: level_named(factor, level),
    "share": show_share,
    **{words.__name__: words for words in (in_unit, measured, shown, signed, *COMPARING)},
}
