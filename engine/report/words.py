"""What a study found, in sentences that a person can act on."""

from collections.abc import Mapping, Sequence
from math import floor, inf, isfinite, isinf, log10

from engine.evaluate.curve import MARGIN, Reach
from engine.evaluate.family import Tested
from engine.evaluate.trials import Estimate
from engine.findings.analysis import Effect, FactorEffects, Knee, TaskAnalysis, Worth
from engine.findings.findings import ConditionScore, Expense, Findings, Level
from engine.findings.worth import HOUR_S, Bill, bill

METRIC_NAMES = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
MOST_LEVELS = 4  # of a factor that the summary speaks of; the tables show all
ABOUT_THE_SAME = (0.95, 1.05)
ONE_DRAW = (
    "Recorded rows are the same in every replicate: nothing is known of how other rows of their "
    "generators would come out."
)


def summary(analysis: TaskAnalysis, findings: Findings) -> list[str]:
    """Return what is to be said of a task, most important first: one to a few sentences each."""
    worth = analysis.told_worth
    sentences = [_leading(analysis, findings)]
    sentences += [_of_factor(effects) for effects in analysis.factors]
    sentences += [_of_knee(knee) for knee in _leaders_knees(analysis)]
    sentences += [_of_worth(worth), in_money(worth, findings)] if worth else []
    sentences.append(_scope(findings))
    return [sentence for sentence in sentences if sentence]


def _leading(analysis: TaskAnalysis, findings: Findings) -> str:
    best, metric = analysis.best, findings.metric
    mean = best.scores[metric]
    interval = "" if mean.low is None else f" ({_interval(mean.low, mean.high or 0.0)})"
    opening = (
        f"Best on validation is {named(best)}: {METRIC_NAMES[metric]} {100 * mean.value:.1f} on "
        f"test{interval}."
    )
    tested = [comparison for comparison in analysis.others if comparison]
    ahead = sum(comparison.is_shown and comparison.difference.value > 0 for comparison in tested)
    behind = sum(comparison.is_shown and comparison.difference.value < 0 for comparison in tested)
    if not tested:
        return opening
    if all(comparison.p is None for comparison in tested):
        return f"{opening} With one training each, nothing is known of how others would come out."
    even = len(tested) - ahead - behind
    apart = len(analysis.others) - 1 - len(tested)
    rest = f" {apart} more cannot be compared: no training in common." if apart else ""
    if not ahead + behind:
        return f"{opening} On test no difference is shown from any of the {_others(even)}.{rest}"
    counts = f"ahead of {ahead}" + (f" and behind {behind}" if behind else "")
    undecided = f"; from {even} no difference is shown" if even else ""
    return f"{opening} On test it is {counts} of the {_others(len(tested))}{undecided}.{rest}"


def _others(count: int) -> str:
    return "1 other condition" if count == 1 else f"{count} other conditions"


def _of_factor(effects: FactorEffects) -> str:
    sentences = [
        sentence
        for effect in _strongest(effects.effects)
        if (sentence := _of_effect(effects.factor, effect, effects.baseline))
    ]
    if not sentences:
        return ""
    if effects.importance:
        share = f"{100 * effects.importance.share:.0f}% of the variance between conditions"
        sentences.insert(0, f"{effects.factor} accounts for {share}{_among(effects)}.")
    omitted = len(effects.effects) - len(_strongest(effects.effects))
    sentences += [f"Of {omitted} more levels the table speaks."] if omitted else []
    return " ".join(sentences)


def _among(effects: FactorEffects) -> str:
    """Say so where the baseline is none of the conditions that the share is of."""
    is_apart = effects.factor == "quantity" and not effects.baseline and len(effects.effects) > 1
    return " with synthetic rows" if is_apart else ""


def _strongest(effects: Sequence[Effect]) -> list[Effect]:
    """Return a few of a factor's levels in their order: those that differ most surely."""
    if len(effects) <= MOST_LEVELS:
        return list(effects)
    sure = sorted(effects, key=lambda effect: _chance(effect.tested))[:MOST_LEVELS]
    return [effect for effect in effects if effect in sure]


def _chance(tested: Tested | None) -> float:
    return 2.0 if tested is None or tested.p is None else tested.p


def _of_effect(factor: str, effect: Effect, baseline: Level) -> str:
    level, other, tested = (
        level_named(factor, effect.level),
        level_named(factor, baseline),
        effect.tested,
    )
    if tested is None:
        return ""
    context = f" in {effect.cells} matched cells" if effect.cells > 1 else ""
    if effect.uncompared:
        have = "has" if effect.uncompared == 1 else "have"
        context += f" ({effect.uncompared} more {have} too few trainings to be compared)"
    verbs = ("beat", "lose to") if factor in ("quantity", "real") else ("beats", "loses to")
    return _compared((level, other), verbs, tested, context + _tokens(effect.tokens))


def _compared(names: tuple[str, str], verbs: tuple[str, str], tested: Tested, context: str) -> str:
    subject, other = names
    difference = tested.difference
    size = f"{abs(100 * difference.value):.1f} points"
    if tested.p is None:
        side = "above" if difference.value >= 0 else "below"
        return (
            f"{subject} is {size} {side} {other}{context}, with one training each: that says "
            "nothing of other trainings."
        )
    if tested.is_shown and difference.value > 0:
        return f"{subject} {verbs[0]} {other} by {size}, {_interval_of(difference)}{context}."
    if tested.is_shown:
        lost = Estimate(-difference.value, -difference.high, -difference.low, None, 0)
        return f"{subject} {verbs[1]} {other} by {size}, {_interval_of(lost)}{context}."
    apart = difference.low > 0 or difference.high < 0
    among = ", which is not enough to show one" if apart else ""
    return (
        f"No difference is shown between {subject} and {other}: "
        f"{100 * difference.value:+.1f} points, {_interval_of(difference)}{among}{context}."
    )


def _tokens(ratio: float | None) -> str:
    if ratio is None:
        return ""
    if ABOUT_THE_SAME[0] <= ratio <= ABOUT_THE_SAME[1]:
        return ", at about the same tokens"
    return (
        f", at {ratio:.2g} times the tokens" if ratio < 10 else f", at {ratio:.0f} times the tokens"
    )


def _interval_of(estimate: Estimate) -> str:
    return _interval(estimate.low, estimate.high)


def _interval(low: float, high: float) -> str:
    return f"95% interval {100 * low:.1f} to {100 * high:.1f}"


def _leaders_knees(analysis: TaskAnalysis) -> list[Knee]:
    """Return the knee of the leader's own curve, if it is on one."""
    best = analysis.best.levels
    return [
        knee
        for knee in analysis.knees
        if all(best[name] == level for name, level in knee.levels.items())
    ]


def _of_knee(knee: Knee) -> str:
    what, cost = curve_named(knee), f"{100 * MARGIN:.0f} point"
    most = f"up to {knee.most:,}"
    if isinf(knee.reach.rows):
        sure = "" if isinf(knee.reach.high) else f" (95% interval up to {about(knee.reach.high)})"
        return (
            f"{what}: beyond {knee.fewest:,} synthetic rows, the fewest tried, no more than {cost} "
            f"is left to gain{sure}, {most}."
        )
    return (
        f"{what}: from about {about(knee.reach.rows)} synthetic rows on no more than {cost} is "
        f"left to gain, {most} ({_rows_interval(knee.reach)})."
    )


def _rows_interval(reach: Reach) -> str:
    low = "the fewest tried" if isinf(reach.low) else about(reach.low)
    high = "the most tried" if isinf(reach.high) else about(reach.high)
    return f"{_kind(reach)} {low} to {high}"


def _kind(reach: Reach) -> str:
    return "95% interval" if reach.is_told else "with other test rows, but the same trainings,"


def _of_worth(worth: Worth) -> str:
    condition, reach = worth.condition, worth.reach
    real, seen = condition.rows_real, condition.rows_real_seen
    rows = f"{condition.rows_synthetic:,.0f} synthetic rows"
    beside = f" beside {real:,} real ones" if real else ""
    if reach.rows == float("inf"):
        said = f"score more than {worth.most:,} real rows alone, the most tried"
    elif reach.rows == -float("inf"):
        said = f"score less than {worth.fewest:,} real rows alone, the fewest tried"
    elif real:
        said = f"score what about {about(reach.rows)} real rows alone do"
    else:
        said = f"are worth about {about(reach.rows)} real ones"
    low, high = _end(reach.low, worth), _end(reach.high, worth)
    interval = "" if low == high else f" ({_kind(reach)} {low} to {high})"
    further = f": they are worth {_further(worth.further)}" if real and isfinite(reach.rows) else ""
    shown = f" Its prompts draw on {seen:,} real rows." if seen > real else ""
    return f"Worth, {named(condition)}: {rows}{beside} {said}{interval}{further}.{shown}"


def _end(rows: float, worth: Worth) -> str:
    if isinf(rows):
        return f"more than {worth.most:,}" if rows > 0 else f"fewer than {worth.fewest:,}"
    return about(rows)


def _further(reach: Reach) -> str:
    if reach.rows > 0:
        sure = "" if reach.low > 0 else ", which is not enough to show that they are worth any"
        return f"about {about(reach.rows)} further ones{sure}"
    return "none, or do harm" if reach.high < 0 else "none that could be shown"


def about(rows: float) -> str:
    """Return a number of rows with two digits that count, such as "240"."""
    if not rows:
        return "0"
    digits = 1 - floor(log10(abs(rows)))
    return f"{round(rows, digits):,.0f}"


def curve_named(knee: Knee) -> str:
    """Return the conditions of a curve over quantity in words."""
    return levels_named(knee.levels) or "synthetic rows alone"


def named(condition: ConditionScore) -> str:
    """Return a condition in words, without its task."""
    return levels_named(condition.levels)


def levels_named(levels: Mapping[str, Level]) -> str:
    """Return levels in words, without the task."""
    parts = [
        level_named(name, level)
        for name, level in levels.items()
        if level is not None
        and name != "task"
        and (name, level) not in (("real", 0), ("quantity", 0))
    ]
    return ", ".join(parts)


def level_named(factor: str, level: Level) -> str:
    """Return a factor's level in words."""
    if factor in ("quantity", "real") and isinstance(level, int):
        kind = "synthetic" if factor == "quantity" else "real"
        return f"{level:,} {kind} rows" if level else f"no {kind} rows"
    return level if isinstance(level, str) else f"{factor} {level}"


def _scope(findings: Findings) -> str:
    if findings.replicates_made > 1:
        return ONE_DRAW if findings.is_replayed else ""
    return (
        "All of this is of this pool only: with one replicate nothing is known of how other draws "
        "of the data would come out."
    )


PUBLISHED = (
    "Published: people labelled SST-2 rows at 0.07 to 0.10 USD and 20 s each (Ding et al. 2023, as "
    "Li et al. 2024, arXiv:2407.12813, section 1 has it)."
)


def in_money(worth: Worth, findings: Findings) -> str:
    """Return a sentence or more on whether a condition's synthetic rows pay off."""
    billed = bill(worth, findings.annotation)
    sentences = [_spent(billed.took), _labelling(billed), _break_even(billed)]
    if findings.annotation.price_row is None and billed.price is not None:
        sentences.append(PUBLISHED)
    return " ".join(sentence for sentence in sentences if sentence)


def _spent(took: Expense) -> str:
    parts = [f"{took.tokens:,.0f} tokens"] if took.tokens else []
    parts += [f"{took.engine_s / HOUR_S:.2g} engine hours"] if took.engine_s else []
    if not parts:
        return ""
    cost = "" if took.cost is None else f", which cost {took.cost:,.2f}"
    return f"Its synthetic rows took {' and '.join(parts)}{cost}."


def _labelling(billed: Bill) -> str:
    parts = [] if billed.labelling is None else [f"would cost {billed.labelling:,.2f}"]
    parts += (
        [] if billed.hours is None else [f"would take {billed.hours:,.1f} hours of an annotator"]
    )
    return f"Labelling as many real rows as they are worth {' and '.join(parts)}." if parts else ""


def _break_even(billed: Bill) -> str:
    if billed.affords is not None:
        verdict = {
            True: "so they pay off",
            False: "so they do not pay off",
            None: "and whether they are worth more is not shown",
        }[billed.pays_off]
        return f"For what they cost, {billed.affords:,.0f} real rows could be labelled, {verdict}."
    if billed.price is not None:
        least = "at least " if billed.further.rows == inf else ""
        return f"They pay off {least}where labelling a row costs more than {billed.price:.2g}."
    return ""
