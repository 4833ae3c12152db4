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


def write_search(found: SearchResult, store: Store) -> None:
    """Write or replace what a search's folder shows."""
    folder = search_folder(found.file)
    store.publish(f"{folder}/trials.parquet", as_parquet(trials_table(found)))
    best = winner(found)
    if best:
        store.publish(f"{folder}/best.toml", winning_study(found, *best).encode())
    drawings: dict[str, str] = {}
    for name, figure in _figures(found).items():
        drawings[name] = as_svg(figure)
        store.publish(f"{folder}/figures/{name}.svg", drawings[name].encode())
        store.publish(f"{folder}/figures/{name}.png", as_png(figure))
    facts = _facts(found, best)
    for template, name in (("search.md.jinja", "report.md"), ("search.html.jinja", "report.html")):
        page = render(template, FILTERS, drawings=drawings, **facts)
        store.publish(f"{folder}/{name}", page.encode())


def trials_table(found: SearchResult) -> pa.Table:
    """Return one row per trial and rung that it was measured at, and one for each that was not.

    Columns: ``trial``, the factors (null where one does not apply), ``quantity``, ``validation``
    and ``test`` (means of the study's metric), ``tokens``, ``engine_seconds``, ``train_seconds``,
    and what became of the trial: ``standing``, ``why``.
    """
    names = [name for name in found.file.study.factors if name in _dimensions(found)]
    rows: list[dict[str, Any]] = []
    for trial in found.trials.values():
        own = {"trial": trial.number, **{name: trial.point.get(name) for name in names}}
        ends = {"standing": trial.standing, "why": trial.why}
        for one in trial.rungs:
            rows.append({**own, **_measurement(one), **ends})
        if not trial.rungs:
            rows.append({**own, **dict.fromkeys(MEASUREMENT), **ends})
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


def _measurement(one: Measured) -> dict[str, float]:
    values = (one.rows, one.score, test_score(one).value, one.tokens, one.engine_s, one.train_s)
    return dict(zip(MEASUREMENT, values, strict=True))


def _column(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kind is None and len(kinds) > 1:
        if kinds <= {int, float}:
            kind = pa.float64()
        else:
            values = [None if value is None else str(value) for value in values]
    return pa.array(values, kind)


def _dimensions(found: SearchResult) -> set[str]:
    return {one.name for one in found.space.dimensions}


def _figures(found: SearchResult) -> dict[str, Any]:
    if not any(one.rungs for one in found.trials.values()):
        return {}
    label = AXES[found.file.study.metric].replace("on test", "on validation")
    made = {"history": history_figure(found, label)}
    if any(one.tokens for _, one in measurements(found)):
        made["tokens"] = front_figure(
            found, front(found, tokens_of), tokens_of, ("Tokens, prompts and answers", label)
        )
    if "seconds" in found.file.study.search.objectives:
        made["seconds"] = front_figure(
            found,
            front(found, seconds_of),
            seconds_of,
            ("Seconds of engines and training", label),
        )
    return made


def _facts(found: SearchResult, best: tuple[Trial, Measured] | None) -> dict[str, Any]:
    study = found.file.study
    has_tokens = any(one.tokens for _, one in measurements(found))
    trials = list(found.trials.values())
    prices = {"tokens": tokens_of} if has_tokens else {}
    if "seconds" in study.search.objectives or not has_tokens:
        prices["seconds"] = seconds_of
    names = [name for name in study.factors if name in _dimensions(found)]
    return {
        "study": study,
        "search": study.search,
        "metric": METRIC_NAMES[study.metric],
        "names": names,
        "rungs": found.space.rungs,
        "phases": found.phases,
        "hours": found.hours,
        "caveat": caveat(found.plan) if found.plan else "",
        "summary": summary(found),
        "problems": problems(found),
        "best": best,
        "trials": trials,
        "tests": {one.number: test_score(one.last) for one in found.trials.values() if one.last},
        "fates": fates(found),
        "factors": factors_found(found),
        "fronts": {name: front(found, price) for name, price in prices.items()},
        "has_tokens": has_tokens,
        "took": took(found),
        "would_take": would_take(found),
        "grid_size": grid_size(found),
        "scope": scope(found),
        "few_draws": any(one.last and len(one.last.test) < FEW_DRAWS for one in trials),
        "named": lambda point: named(in_the_study_s_order(point, found)),
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
