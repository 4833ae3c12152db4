"""The course of a search, and its front, drawn."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.report.figure import PANEL_INCHES
from engine.search.report.findings import OnFront, measurements
from engine.search.search import SearchResult
from engine.search.trial_book import Measured, Trial

QUIET, STRONG, FRONT = "0.72", "#2f6fb2", "#d98a00"


def history_figure(result: SearchResult, label: str) -> Any:  # noqa: ANN401 - untyped
    """Draw each trial's score at every rung against its number, and the best so far at the last.

    Args:
        result: What the search came to.
        label: What the score is called.

    Returns:
        A matplotlib figure.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(PANEL_INCHES[0] + 3.2, PANEL_INCHES[1]), layout="constrained")
    axis = figure.subplots()
    rungs = result.space.rungs
    shades = mpl.colormaps["viridis_r"]
    for at, rows in enumerate(rungs):
        reached = [trial for trial in result.trials.values() if len(trial.rungs) > at]
        shade = shades(0.15 + 0.8 * at / max(1, len(rungs) - 1))
        numbers = [trial.number for trial in reached]
        scores = [100 * trial.rungs[at].score for trial in reached]
        axis.plot(numbers, scores, "o", ms=5, color=shade, label=f"{rows:,} rows", zorder=2 + at)
    for trial in result.trials.values():
        scores = [100 * measured.score for measured in trial.rungs]
        axis.plot([trial.number] * len(scores), scores, "-", lw=1, color=QUIET, zorder=1)
    # scores at different rungs do not compare: the best so far is of those at the last alone
    best, numbers, steps = None, [], []
    for trial in sorted(result.trials.values(), key=lambda trial: trial.number):
        if len(trial.rungs) == len(rungs):
            score = 100 * trial.rungs[-1].score
            best = score if best is None else max(best, score)
            numbers.append(trial.number)
            steps.append(best)
    if steps:
        last = max(result.trials)
        label_best = f"best so far at {rungs[-1]:,} rows"
        axis.step(
            [*numbers, last], [*steps, steps[-1]], where="post", color=STRONG, label=label_best
        )
    axis.set_xlabel("Trial")
    axis.set_ylabel(label)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _tidy(axis)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def front_figure(
    result: SearchResult,
    front: Sequence[OnFront],
    price: Callable[[Trial, Measured], float],
    names: tuple[str, str],
) -> Any:  # noqa: ANN401 - untyped
    """Draw every measurement's score against what it took, and the front.

    Args:
        result: What the search came to.
        front: The measurements on the front.
        price: What a measurement took.
        names: What that is called, and what the score is.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL_INCHES[0] + 3.2, PANEL_INCHES[1]), layout="constrained")
    axis = figure.subplots()
    known = list(measurements(result))
    scores = [100 * measured.score for _, measured in known]
    axis.plot([price(*pair) for pair in known], scores, "o", ms=4, color=QUIET, label="measured")
    prices = [price(member.trial, member.measured) for member in front]
    scores = [100 * member.measured.score for member in front]
    axis.step(prices, scores, where="post", color=FRONT, lw=1, alpha=0.6)
    axis.plot(prices, scores, "o", ms=6, color=FRONT, label="none is better and cheaper")
    for at, member in enumerate(front):
        axis.annotate(
            f"{member.trial.number}",
            (prices[at], scores[at]),
            xytext=(5, -9),
            textcoords="offset points",
            fontsize=8,
        )
    axis.set_xscale("log")
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    _tidy(axis)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _tidy(axis: Any) -> None:  # noqa: ANN401 - untyped
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
