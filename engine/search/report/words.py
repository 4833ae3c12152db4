"""What a search found, in sentences."""

from engine.report.numbers import show_score
from engine.report.words import METRIC_NAMES
from engine.search.report.findings import (
    Amounts,
    factors_found,
    fates,
    grid_size,
    took,
    unmeasured,
    winner,
    would_take,
)
from engine.search.report.findings import test_score as score_on_test
from engine.search.search import SearchResult
from engine.search.trial import Point


def named(point: Point) -> str:
    """Return a point in words, such as ``strategy topic, temperature 0.7``."""
    return ", ".join(f"{name} {level}" for name, level in point.items() if level is not None)


def in_the_study_s_order(point: Point, found: SearchResult) -> Point:
    """Return a point's levels in the order in which the study has its factors."""
    return {name: point[name] for name in found.file.study.factors if name in point}


def scope(found: SearchResult) -> str:
    """Return what intervals are over."""
    study = found.file.study
    if study.replicates > 1:
        return f"over the means of {study.replicates} replicates"
    return f"over {study.repeats} repeat{'s' if study.repeats > 1 else ''}; this pool"


def summary(found: SearchResult) -> list[str]:
    """Return what can be acted on, a sentence or two each."""
    metric = METRIC_NAMES[found.file.study.metric]
    best = winner(found)
    if best is None:
        return ["Nothing was measured."]
    trial, measured = best
    test = score_on_test(measured)
    interval = f" (95% t-interval {scope(found)})" if test.low is not None else " (of one draw)"
    told = [
        f"Best on validation is trial {trial.number}: "
        f"{named(in_the_study_s_order(trial.point, found))}; at {measured.rows:,} rows "
        f"its {metric} is {show_score(test)} on test{interval}, "
        f"{100 * measured.score:.1f} on validation."
    ]
    top = found.space.rungs[-1]
    if measured.rows < top:
        told.append(f"No trial was measured at the last rung, {top:,} rows.")
    told += [_fate(found), _saved(found)]
    shares = [one for one in factors_found(found) if one.share is not None]
    if shares:
        shares.sort(key=lambda one: -(one.share or 0))
        parts = ", ".join(f"{one.name} {100 * (one.share or 0):.0f}%" for one in shares)
        told.append(
            f"Of the variance of scores at {found.space.rungs[0]:,} rows is due to each factor "
            f"alone: {parts}."
        )
    return told


def _fate(found: SearchResult) -> str:
    parts = []
    for rows, counts in fates(found):
        ended = ", ".join(
            f"{count} {name}"
            for name, count in counts.items()
            if name not in ("measured", "went on", "whole")
        )
        parts.append(f"{counts['measured']} at {rows:,}" + (f" ({ended})" if ended else ""))
    failed = sum(one.standing == "failed" and not one.rungs for one in found.trials.values())
    extra = f"; {failed} came to nothing" if failed else ""
    return f"Trials measured at each number of rows: {', '.join(parts)}{extra}."


def _saved(found: SearchResult) -> str:
    own, whole, top = took(found), would_take(found), found.space.rungs[-1]
    tokens = f", {own.tokens:,.0f} tokens" if own.tokens else ""
    told = (
        f"That took {own.generated:,.0f} rows{tokens} and {own.trained:,.0f} rows trained on: "
        f"{percent(own, whole)} of what the same trials would take at {top:,} rows each."
    )
    if (size := grid_size(found)) and size > whole.trials and whole.generated:
        share = own.generated / (whole.generated * size / whole.trials)
        told += f" The whole grid of {size:,} would take {1 / share:,.0f} times the rows."
    return told


def percent(own: Amounts, whole: Amounts) -> str:
    """Return shares of rows generated, tokens and rows trained on, as far as they are known."""
    parts = [
        f"{100 * mine / other:.0f}% of the {name}"
        for mine, other, name in (
            (own.generated, whole.generated, "rows"),
            (own.tokens, whole.tokens, "tokens"),
            (own.trained, whole.trained, "rows trained on"),
        )
        if other
    ]
    return ", ".join(parts)


def problems(found: SearchResult) -> list[str]:
    """Return what went wrong, a sentence each."""
    told = list(found.troubles)
    for one in unmeasured(found):
        why = f": {one.why}" if one.why else ""
        at = f" at {one.last.rows:,} rows" if one.last else ""
        what = {
            "failed": "came to nothing",
            "short": f"ran short of rows{at}",
            "cut off": f"was cut off{at}, as a limit of the search was reached",
        }[one.standing]
        point = named(in_the_study_s_order(one.point, found))
        told.append(f"Trial {one.number} ({point}) {what}{why}.")
    return told
