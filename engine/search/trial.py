"""What runs as a trial in Ray Tune: it asks to be measured, and reports what it came to.

Each trial is a process of its own, so nothing is loaded here that waiting does not take.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from engine.nodes.executor import Service

Point = Mapping[str, str | int | float | bool | None]  # a level of each factor that applies


class Verdict(NamedTuple):
    """What a trial is told at the end of a phase.

    Attributes:
        at: Which of its measurements that was, from 0.
        rows: The rung.
        score: What it came to; None if to nothing.
        values: The objectives; None if it came to nothing.
        goes_on: Whether it is measured at the next rung.
        is_whole: Whether it was measured at the last.
        may_ask: Whether further trials may be proposed.
    """

    at: int
    rows: int
    score: float | None
    values: list[float] | None
    goes_on: bool
    is_whole: bool
    may_ask: bool


def run_trial(config: dict[str, Any], barrier: "Service") -> None:
    """Ask for measurements, one rung after another, and report them, until told to end.

    Args:
        config: The trial's ``number`` and ``point``.
        barrier: Where it is measured.
    """
    from ray import tune  # here: levels are read from this file where nothing is run

    at, goes_on = 0, True
    while goes_on:
        verdict: Verdict = barrier.call("measured", config["number"], config["point"], at)
        tune.report(verdict._asdict())
        at, goes_on = at + 1, verdict.goes_on
