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
from engine.report.brief import brief
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
from engine.report.shown import Pages, shown_brief
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


def update_report(findings: Findings, store: Store) -> None:
    """Write or replace what a study's folder shows, unless it shows this already."""
    if shown_brief(findings, store) is None:
        write_report(findings, store)


def write_report(findings: Findings, store: Store) -> None:
    """Write or replace what a study's folder shows."""
    pages = Pages(findings, store)
    pages.publish("results.parquet", as_parquet(results_table(findings)))
    for name, rows, table in (
        ("baselines", findings.baselines, baseline_table),
        ("diagnostics", findings.diagnostics, diagnostics_table),
    ):
        file = f"{name}.parquet"
        # of a study that has none any more: no rows
        if rows or store.has(f"{findings.folder}/{file}"):
            pages.publish(file, as_parquet(table(findings)))
    conditions = condition_scores(findings, "test")
    analyses = analyse(findings)
    for name, table in (
        ("comparisons", comparisons_table(analyses)),
        ("worth", worth_table(analyses, findings.annotation)),
    ):
        pages.publish(f"{name}.parquet", as_parquet(table))
    drawings: dict[str, str] = {}
    for name, figure in _figures(findings, conditions, analyses).items():
        drawings[name] = as_svg(figure)
        pages.publish(f"figures/{name}.svg", drawings[name].encode())
        pages.publish(f"figures/{name}.png", as_png(figure))
    facts = _facts(findings, analyses)
    for template, name in (("report.md.jinja", "report.md"), ("report.html.jinja", "report.html")):
        page = render(template, FILTERS, findings=findings, drawings=drawings, **facts)
        pages.publish(name, page.encode())
    pages.note(brief(findings, conditions, analyses))


def _figures(
    findings: Findings, conditions: Sequence[ConditionScore], analyses: Sequence[TaskAnalysis]
) -> dict[str, Any]:
    if not conditions:
        return {}
    knees = [knee for analysis in analyses for knee in analysis.knees]
    figures: dict[str, Any] = {
        metric: quantity_figure(conditions, metric, knees if metric == findings.metric else ())
        for metric in METRICS
    }
    if any(condition.took.tokens for condition in conditions):
        figures["cost"] = cost_figure(conditions, findings.metric)
    return figures


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
        "leaders": [analysis.best.levels for analysis in analyses],
        "has_effects": any(analysis.factors for analysis in analyses),
        "has_p": any(
            tested and tested.p is not None for analysis in analyses for tested in analysis.others
        ),
        "has_knees": any(analysis.knees for analysis in analyses),
        "has_worths": any(analysis.worths for analysis in analyses),
        "published_labelling": PUBLISHED,
        "behind": [tested for analysis in analyses for tested in analysis.others],
        "summaries": {analysis.task: summary(analysis, findings) for analysis in analyses},
        "bills": {
            analysis.task: [(worth, bill(worth, findings.annotation)) for worth in analysis.worths]
            for analysis in analyses
        },
        "few_draws": has_few_draws(findings),
        "scope": scope(findings),
        "drawless": drawless(findings),
        "baselines": baseline_scores(findings),
        "llms": llms,
        "comparison": compare(findings),
        "counts_trivial": any(diagnosis.trivial is not None for diagnosis in findings.diagnostics),
        "has_tasks": len({diagnosis.task for diagnosis in findings.diagnostics}) > 1,
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
