"""Write a study's results: tables in Parquet, report.md, report.html, figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.findings.analysis import TaskAnalysis, analyse
from engine.findings.baselines import ahead, baseline_scores, best_baselines
from engine.findings.findings import (
    METRICS,
    ConditionScore,
    Findings,
    condition_scores,
    level_names,
)
from engine.findings.published.compare import compare, in_unit, measured, shown, signed
from engine.findings.worth import bill
from engine.report.figure import as_png, as_svg, cost_figure, quantity_figure
from engine.report.numbers import (
    drawless,
    has_few_draws,
    scope,
    shots_shown,
    show_or_dash,
    show_p,
    show_reach,
    show_score,
    show_share,
    show_tested,
)
from engine.report.page import as_parquet, render
from engine.report.tables import (
    baseline_table,
    comparisons_table,
    diagnostics_table,
    per_thousand,
    results_table,
    worth_table,
)
from engine.report.words import METRIC_NAMES, PUBLISHED, curve_named, level_named, named, summary
from engine.store.store import Store

COMPARING = (named, curve_named, show_tested, show_p, show_reach)


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
        page = render(template, FILTERS, findings=findings, drawings=drawings, **facts)
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


FILTERS: Mapping[str, Callable[..., str | float | None]] = {
    "score": show_score,
    "shots": shots_shown,
    "or_dash": show_or_dash,
    "per_thousand": per_thousand,
    "level": lambda level, factor: level_named(factor, level),
    "share": show_share,
    **{words.__name__: words for words in (in_unit, measured, shown, signed, *COMPARING)},
}
