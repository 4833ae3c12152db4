"""Score against quantity, a line per recipe with its band, a panel per task and real rows."""

import io
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from engine.evaluate.intervals import Mean
from engine.findings.analysis import Knee
from engine.findings.findings import ConditionScore

AXES = {"accuracy": "Accuracy on test", "macro_f1": "Macro-F1 on test"}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
PANEL_INCHES = (4.6, 3.6)
MOST_TICKS = 6
FEW_COLOURS = 10
MARKERS = "os^Dv"
BASELINE_STYLES = ("--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)))


def quantity_figure(
    conditions: Sequence[ConditionScore], metric: str, knees: Sequence[Knee] = ()
) -> Any:  # noqa: ANN401 - untyped
    """Draw a metric against the number of synthetic rows.

    A real-only condition stands as the point at 0 of the curves that share its real rows and its
    other levels, and as a dashed line everywhere. Bands are the conditions' intervals; a diamond
    on a line is its knee.

    Args:
        conditions: The conditions' scores.
        metric: "accuracy" or "macro_f1".
        knees: Where lines have their knees.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    panels = sorted({condition.real for condition in conditions if condition.quantity}) or [0]
    tasks = list(dict.fromkeys(condition.task for condition in conditions))
    size = (PANEL_INCHES[0] * len(panels) + 1.8, PANEL_INCHES[1] * len(tasks))
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(len(tasks), len(panels), sharey="row", squeeze=False)
    colours = _colours(conditions)
    for axes, task in zip(rows, tasks, strict=True):
        of_task = [condition for condition in conditions if condition.task == task]
        for axis, real in zip(axes, panels, strict=True):
            _panel(axis, of_task, metric, real, colours)
            of_panel = [knee for knee in knees if knee.levels["real"] == real]
            _knees(axis, of_task, metric, of_panel, colours)
            title = f"with {real} real rows" if real else "synthetic rows alone"
            axis.set_title(f"{task}, {title}" if len(tasks) > 1 else title)
            axis.set_xlabel("Synthetic rows")
        axes[0].set_ylabel(AXES[metric])
    _legend(figure, rows.flat)
    return figure


def cost_figure(conditions: Sequence[ConditionScore], metric: str) -> Any:  # noqa: ANN401 - untyped
    """Draw a metric against what the synthetic rows took: money if there are prices, else tokens.

    Args:
        conditions: The conditions' scores; those whose rows took nothing are left out.
        metric: "accuracy" or "macro_f1".

    Returns:
        A matplotlib figure, a panel per task.
    """
    from matplotlib.figure import Figure

    kept = [condition for condition in conditions if condition.took.tokens]
    is_priced = all(condition.took.cost for condition in kept)
    tasks = list(dict.fromkeys(condition.task for condition in kept))
    colours, markers = _colours(kept), _markers(kept)
    size = (PANEL_INCHES[0] + 2.4, PANEL_INCHES[1] * len(tasks))
    figure = Figure(figsize=size, layout="constrained")
    for axis, task in zip(figure.subplots(len(tasks), squeeze=False).flat, tasks, strict=True):
        for condition in (condition for condition in kept if condition.task == task):
            score, took = condition.scores[metric], condition.took
            spent = took.cost if is_priced else took.tokens
            shown = {"color": colours[_recipe(condition)], "marker": markers[condition.real]}
            real = f", with {condition.real} real rows" if condition.real else ""
            label = f"{_recipe(condition) or 'synthetic'}{real}"
            axis.plot([spent], [score.value], ls="", ms=5, label=label, **shown)
            if score.low is not None:
                low, high = _on_scale(score)
                axis.vlines([spent], low, high, color=shown["color"], alpha=0.3, lw=1.5)
        axis.set_xscale("log")
        axis.set_title(task if len(tasks) > 1 else "")
        axis.set_xlabel(
            "Cost of the synthetic rows" if is_priced else "Tokens, prompts and answers"
        )
        axis.set_ylabel(AXES[metric])
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    _legend(figure, figure.axes)
    return figure


def _markers(conditions: Sequence[ConditionScore]) -> dict[int, str]:
    reals = sorted({condition.real for condition in conditions})
    return {real: MARKERS[place % len(MARKERS)] for place, real in enumerate(reals)}


def _legend(figure: Any, axes: Iterable[Any]) -> None:  # noqa: ANN401 - untyped
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)


def as_svg(figure: Any) -> str:  # noqa: ANN401 - a matplotlib figure
    """Return a figure as an SVG element that can stand in a page."""
    import matplotlib as mpl

    sink = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "textmill", "svg.fonttype": "none"}):
        figure.savefig(sink, format="svg", metadata=NO_METADATA)
    text = sink.getvalue()
    return text[text.index("<svg") :]


def as_png(figure: Any) -> bytes:  # noqa: ANN401 - a matplotlib figure
    """Return a figure as PNG."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=150)
    return sink.getvalue()


def _colours(conditions: Sequence[ConditionScore]) -> dict[str, Any]:
    """Give each recipe a colour, which is its own in all panels as far as there are so many."""
    import matplotlib as mpl

    recipes = list(
        dict.fromkeys(_recipe(condition) for condition in conditions if condition.quantity)
    )
    palette = mpl.color_sequences["tab10" if len(recipes) <= FEW_COLOURS else "tab20"]
    return {recipe: palette[place % len(palette)] for place, recipe in enumerate(recipes)}


def _panel(
    axis: Any,  # noqa: ANN401 - untyped
    conditions: Sequence[ConditionScore],
    metric: str,
    real: int,
    colours: Mapping[str, Any],
) -> None:
    lines: dict[str, list[ConditionScore]] = {}
    for condition in conditions:
        if condition.quantity:
            lines.setdefault(_recipe(condition), [])
            if condition.real == real:
                lines[_recipe(condition)].append(condition)
    baselines = [condition for condition in conditions if not condition.quantity]
    starts = [condition for condition in baselines if condition.real == real and real]
    for recipe, points in lines.items():
        origins = [condition for condition in starts if points and _agree(condition, points[0])]
        # several of them: which is the curve's own cannot be told
        joined = [*origins, *points] if len(origins) == 1 else points
        _line(axis, joined, metric, recipe, colours[recipe])
    for place, baseline in enumerate(baselines):
        score, style = baseline.scores[metric], BASELINE_STYLES[place % len(BASELINE_STYLES)]
        label = f"{baseline.real} real rows alone"
        extra = _recipe(baseline)
        name = f"{label}, {extra}" if extra else label
        axis.axhline(score.value, color="0.35", ls=style, lw=1.2, label=name)
    quantities = {point.rows_synthetic for points in lines.values() for point in points}
    axis.set_xticks(sorted(quantities | ({0.0} if starts else set()))[-MOST_TICKS:])
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _knees(
    axis: Any,  # noqa: ANN401 - untyped
    conditions: Sequence[ConditionScore],
    metric: str,
    knees: Sequence[Knee],
    colours: Mapping[str, Any],
) -> None:
    """Mark the knees of a panel's lines, straight between the points where they lie."""
    for knee in knees:
        points = [
            condition
            for condition in conditions
            if condition.quantity
            and all(condition.levels[name] == level for name, level in knee.levels.items())
        ]
        if points and isfinite(knee.reach.rows):
            points.sort(key=lambda point: point.quantity)
            xs = [point.rows_synthetic for point in points]
            ys = [point.scores[metric].value for point in points]
            score = np.interp(knee.reach.rows, xs, ys)
            colour = colours[_recipe(points[0])]
            axis.plot([knee.reach.rows], [score], "D", ms=8, mfc="none", mec=colour, mew=1.5)


def _agree(baseline: ConditionScore, point: ConditionScore) -> bool:
    """Tell whether a real-only condition is what a curve's point would be without its rows."""
    shared = {name: level for name, level in baseline.levels.items() if level is not None}
    return all(point.levels[name] == level for name, level in shared.items() if name != "quantity")


def _line(
    axis: Any,  # noqa: ANN401 - untyped
    points: Sequence[ConditionScore],
    metric: str,
    recipe: str,
    colour: Any,  # noqa: ANN401 - whatever matplotlib takes for one
) -> None:
    points = sorted(points, key=lambda point: point.rows_synthetic)
    xs = [point.rows_synthetic for point in points]
    means = [point.scores[metric] for point in points]
    label = recipe or "synthetic"
    axis.plot(xs, [mean.value for mean in means], "o-", color=colour, ms=4, label=label)
    if means and all(mean.low is not None for mean in means):
        lows, highs = zip(*map(_on_scale, means), strict=True)
        axis.fill_between(xs, lows, highs, color=colour, alpha=0.15, lw=0)
        if len(points) == 1:  # a band of one point has no width
            axis.vlines(xs, lows, highs, color=colour, alpha=0.4, lw=2)


def _on_scale(mean: Mean) -> tuple[float, float]:
    """Return an interval as far as scores go: they end at 0 and 1, Student's t does not."""
    return max(0.0, mean.low or 0.0), min(1.0, mean.high or 0.0)


def _recipe(condition: ConditionScore) -> str:
    return ", ".join(
        str(level) if isinstance(level, str) else f"{name} {level}"
        for name, level in condition.levels.items()
        if name not in ("task", "quantity", "real") and level is not None
    )
