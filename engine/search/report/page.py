"""Write a search's results: trials.parquet, best.toml, report.md, report.html, figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from engine.evaluate.intervals import Mean
from engine.findings.gather import caveat
from engine.report.figure import AXES, as_png, as_svg
from engine.report.numbers import FEW_DRAWS, show_score
from engine.report.page import as_parquet, render
from engine.report.words import METRIC_NAMES
from engine.search.report.figure import front_figure, history_figure
from engine.search.report.findings import (
    factors_found,
    fates,
    front,
    grid_size,
    measurements,
    seconds_of,
    test_score,
    tokens_of,
    took,
    winner,
    would_take,
)
from engine.search.report.winner import winning_study
from engine.search.report.words import in_the_study_s_order, named, problems, scope, summary
from engine.search.search import SearchResult, search_folder
from engine.search.trial_book import Measured, Trial
from engine.store.store import Store
from engine.study.factors import Level


def write_search(result: SearchResult, store: Store) -> None:
    """Write or replace what a search's folder shows."""
    folder = search_folder(result.file)
    store.publish(f"{folder}/trials.parquet", as_parquet(trials_table(result)))
    best = winner(result)
    if best:
        store.publish(f"{folder}/best.toml", winning_study(result, *best).encode())
    drawings: dict[str, str] = {}
    for name, figure in _figures(result).items():
        drawings[name] = as_svg(figure)
        store.publish(f"{folder}/figures/{name}.svg", drawings[name].encode())
        store.publish(f"{folder}/figures/{name}.png", as_png(figure))
    facts = _facts(result, best)
    for template, name in (("search.md.jinja", "report.md"), ("search.html.jinja", "report.html")):
        page = render(template, FILTERS, drawings=drawings, **facts)
        store.publish(f"{folder}/{name}", page.encode())


def trials_table(result: SearchResult) -> pa.Table:
    """Return one row per trial and rung that it was measured at, and one for each that was not.

    Columns: ``trial``, the factors (null where one does not apply), ``quantity``, ``validation``
    and ``test`` (means of the study's metric), ``tokens``, ``engine_seconds``, ``train_seconds``,
    and what became of the trial: ``standing``, ``why``.
    """
    names = [name for name in result.file.study.factors if name in _dimensions(result)]
    rows: list[dict[str, Any]] = []
    for trial in result.trials.values():
        starts = {"trial": trial.number, **{name: trial.point.get(name) for name in names}}
        ends = {"standing": trial.standing, "why": trial.why}
        for measured in trial.rungs:
            rows.append({**starts, **_measurement(measured), **ends})
        if not trial.rungs:
            rows.append({**starts, **dict.fromkeys(MEASUREMENT), **ends})
    columns = ["trial", *names, *MEASUREMENT, "standing", "why"]
    return pa.table(
        {name: _column([row[name] for row in rows], MEASUREMENT.get(name)) for name in columns}
    )


MEASUREMENT: Mapping[str, pa.DataType] = {
    "quantity": pa.int64(),
    "validation": pa.float64(),
    "test": pa.float64(),
    "tokens": pa.float64(),
    "engine_seconds": pa.float64(),
    "train_seconds": pa.float64(),
}


def _measurement(measured: Measured) -> dict[str, float]:
    values = (
        measured.rows,
        measured.score,
        test_score(measured).value,
        measured.tokens,
        measured.engine_s,
        measured.train_s,
    )
    return dict(zip(MEASUREMENT, values, strict=True))


def _column(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kind is None and len(kinds) > 1:
        if kinds <= {int, float}:
            kind = pa.float64()
        else:
            values = [None if value is None else str(value) for value in values]
    return pa.array(values, kind)


def _dimensions(result: SearchResult) -> set[str]:
    return {factor.name for factor in result.space.dimensions}


def _figures(result: SearchResult) -> dict[str, Any]:
    if not any(trial.rungs for trial in result.trials.values()):
        return {}
    label = AXES[result.file.study.metric].replace("on test", "on validation")
    figures = {"history": history_figure(result, label)}
    if any(measured.tokens for _, measured in measurements(result)):
        figures["tokens"] = front_figure(
            result, front(result, tokens_of), tokens_of, ("Tokens, prompts and answers", label)
        )
    if "seconds" in result.file.study.search.objectives:
        figures["seconds"] = front_figure(
            result,
            front(result, seconds_of),
            seconds_of,
            ("Seconds of engines and training", label),
        )
    return figures


def _facts(result: SearchResult, best: tuple[Trial, Measured] | None) -> dict[str, Any]:
    study = result.file.study
    has_tokens = any(measured.tokens for _, measured in measurements(result))
    trials = list(result.trials.values())
    # where the engine counts no tokens, seconds are the only price there is
    prices = {"tokens": tokens_of} if has_tokens else {}
    if "seconds" in study.search.objectives or not has_tokens:
        prices["seconds"] = seconds_of
    names = [name for name in study.factors if name in _dimensions(result)]
    return {
        "study": study,
        "search": study.search,
        "metric": METRIC_NAMES[study.metric],
        "names": names,
        "rungs": result.space.rungs,
        "phases": result.phases,
        "hours": result.hours,
        "caveat": caveat(result.plan) if result.plan else "",
        "summary": summary(result),
        "problems": problems(result),
        "best": best,
        "trials": trials,
        "tests": {
            trial.number: test_score(trial.last) for trial in result.trials.values() if trial.last
        },
        "fates": fates(result),
        "factors": factors_found(result),
        "fronts": {name: front(result, price) for name, price in prices.items()},
        "has_tokens": has_tokens,
        "took": took(result),
        "would_take": would_take(result),
        "grid_size": grid_size(result),
        "scope": scope(result),
        "few_draws": any(trial.last and len(trial.last.test) < FEW_DRAWS for trial in trials),
        "named": lambda point: named(in_the_study_s_order(point, result)),
    }


def show_level(level: Level) -> str:
    """Return a level; a dash where a factor does not apply."""
    return "\u2013" if level is None else str(level)


def show_points(score: float | Mean | None) -> str:
    """Return a score in points."""
    if isinstance(score, Mean):
        return show_score(score)
    return "\u2013" if score is None else f"{100 * score:.1f}"


FILTERS: Mapping[str, Callable[..., str]] = {"level": show_level, "points": show_points}
