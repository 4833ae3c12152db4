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


def in_the_study_s_order(point: Point, result: SearchResult) -> Point:
    """Return a point's levels in the order in which the study has its factors."""
    return {name: point[name] for name in result.file.study.factors if name in point}


def scope(result: SearchResult) -> str:
    """Return what intervals are over."""
    study = result.file.study
    if study.replicates > 1:
        return f"over the means of {study.replicates} replicates"
    return f"over {study.repeats} repeat{'s' if study.repeats > 1 else ''}; this pool"


def summary(result: SearchResult) -> list[str]:
    """Return what can be acted on, a sentence or two each."""
    metric = METRIC_NAMES[result.file.study.metric]
    best = winner(result)
    if best is None:
        return ["Nothing was measured."]
    trial, measured = best
    test = score_on_test(measured)
    interval = f" (95% t-interval {scope(result)})" if test.low is not None else " (of one draw)"
    sentences = [
        f"Best on validation is trial {trial.number}: "
        f"{named(in_the_study_s_order(trial.point, result))}; at {measured.rows:,} rows "
        f"its {metric} is {show_score(test)} on test{interval}, "
        f"{100 * measured.score:.1f} on validation."
    ]
    top = result.space.rungs[-1]
    if measured.rows < top:
        sentences.append(f"No trial was measured at the last rung, {top:,} rows.")
    sentences += [_fate(result), _saved(result)]
    shares = [factor for factor in factors_found(result) if factor.share is not None]
    if shares:
        shares.sort(key=lambda factor: -(factor.share or 0))
        parts = ", ".join(f"{factor.name} {100 * (factor.share or 0):.0f}%" for factor in shares)
        sentences.append(
            f"Of the variance of scores at {result.space.rungs[0]:,} rows is due to each factor "
            f"alone: {parts}."
        )
    return sentences


def _fate(result: SearchResult) -> str:
    parts = []
    for rows, counts in fates(result):
        ended = ", ".join(
            f"{count} {name}"
            for name, count in counts.items()
            if name not in ("measured", "went on", "whole")
        )
        parts.append(f"{counts['measured']} at {rows:,}" + (f" ({ended})" if ended else ""))
    failed = sum(trial.standing == "failed" and not trial.rungs for trial in result.trials.values())
    extra = f"; {failed} came to nothing" if failed else ""
    return f"Trials measured at each number of rows: {', '.join(parts)}{extra}."


def _saved(result: SearchResult) -> str:
    amounts, whole, top = took(result), would_take(result), result.space.rungs[-1]
    tokens = f", {amounts.tokens:,.0f} tokens" if amounts.tokens else ""
    sentence = (
        f"That took {amounts.generated:,.0f} rows{tokens} and {amounts.trained:,.0f} rows trained "
        f"on: {percent(amounts, whole)} of what the same trials would take at {top:,} rows each."
    )
    if (size := grid_size(result)) and size > whole.trials and whole.generated:
        share = amounts.generated / (whole.generated * size / whole.trials)
        sentence += f" The whole grid of {size:,} would take {1 / share:,.0f} times the rows."
    return sentence


def percent(amounts: Amounts, whole: Amounts) -> str:
    """Return shares of rows generated, tokens and rows trained on, as far as they are known."""
    parts = [
        f"{100 * mine / other:.0f}% of the {name}"
        for mine, other, name in (
            (amounts.generated, whole.generated, "rows"),
            (amounts.tokens, whole.tokens, "tokens"),
            (amounts.trained, whole.trained, "rows trained on"),
        )
        if other
    ]
    return ", ".join(parts)


def problems(result: SearchResult) -> list[str]:
    """Return what went wrong, a sentence each."""
    sentences = list(result.troubles)
    for trial in unmeasured(result):
        why = f": {trial.why}" if trial.why else ""
        at = f" at {trial.last.rows:,} rows" if trial.last else ""
        what = {
            "failed": "came to nothing",
            "short": f"ran short of rows{at}",
            "cut off": f"was cut off{at}, as a limit of the search was reached",
        }[trial.standing]
        point = named(in_the_study_s_order(trial.point, result))
        sentences.append(f"Trial {trial.number} ({point}) {what}{why}.")
    return sentences
