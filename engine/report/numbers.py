"""Numbers as reports show them."""

from math import isinf

from engine.evaluate.curve import Reach
from engine.evaluate.family import Tested
from engine.evaluate.importance import Importance
from engine.evaluate.intervals import Mean
from engine.findings.baselines import BaselineScore
from engine.findings.findings import Findings
from engine.report.words import about


def shots_shown(baseline: BaselineScore) -> str:
    """Return an LLM and its shots in words."""
    return f"{baseline.llm}, {baseline.shots} shot{'' if baseline.shots == 1 else 's'}"


def show_tested(tested: Tested | None) -> str:
    """Return a difference in points with its interval, such as ``+3.1 [1.2, 5.0]``."""
    if tested is None:
        return "\u2013"
    value, low, high = (100 * fraction for fraction in tested.difference[:3])
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
    value, low, high = (_end(rows, fewest, most) for rows in (reach.rows, reach.low, reach.high))
    return f"{value} [{low}, {high}]"


def _end(rows: float, fewest: float, most: float) -> str:
    if isinf(rows):
        return f"> {most:,.0f}" if rows > 0 else f"< {fewest:,.0f}"
    return about(rows)


FEW_DRAWS = 3  # below this an interval says little


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


def show_share(importance: Importance | None) -> str:
    """Return a factor's importance, such as ``61%``."""
    return "\u2013" if importance is None else f"{100 * importance.share:.0f}%"
