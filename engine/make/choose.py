"""Choose where a study's work is done: in this process, or on Ray."""

import os
import sys
from collections.abc import Callable
from typing import Literal, NamedTuple

from engine.errors import ConfigError
from engine.generate.engine import engine_class
from engine.nodes.here import cpus, gpus
from engine.plan.cell import Cell
from engine.status.forecast import reach
from engine.status.survey import Survey
from engine.status.wants import missing_segments
from engine.study.resources import Resources
from engine.train.trainer import trainer_class

MANY_CPUS = 8  # of a machine on which processes beside each other are worth their start
MUCH_S = 300.0  # of work on one core that is left
TOKENS_S = 300.0  # completion tokens a second that a small model answers with on one core
TRAINED_TOKENS_S = 1000.0  # and that a small encoder is trained on
FIT_S = 0.5  # of a run that takes no steps


class Choice(NamedTuple):
    """Where work is done, and why."""

    name: Literal["here", "ray"]
    why: str


def choose(resources: Resources, now: Callable[[], Survey]) -> Choice:
    """Choose where a study's work is done. What it comes to is the same.

    Args:
        resources: What the study says of it.
        now: Returns what is there of the study; asked only if it matters.

    Raises:
        ConfigError: It is to be this process, which cannot do what is asked of it.
    """
    wanted = _wants_ray(resources)
    if resources.run_on == "here":
        if wanted:
            raise ConfigError(
                f'resources.run_on is "here", but {wanted}, which takes Ray: leave run_on out.'
            )
        return Choice("here", "resources.run_on says so")
    if resources.run_on == "ray":
        return Choice("ray", "resources.run_on says so")
    if os.environ.get("RAY_ADDRESS"):
        return Choice("ray", "RAY_ADDRESS names a cluster")
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return Choice("ray", "one is up")
    if wanted:
        return Choice("ray", wanted)
    if count := gpus():
        return Choice("ray", f"this machine has {count} GPU{'s' if count > 1 else ''}")
    cores = cpus()
    if cores < MANY_CPUS:
        return Choice("here", f"{cores} CPUs and no GPU are soon shared out")
    seconds = left_s(now())
    if seconds > MUCH_S:
        return Choice("ray", f"{cores} CPUs share some {seconds / 60:,.0f} minutes of work")
    return Choice("here", "little work is left")


def _wants_ray(resources: Resources) -> str:
    """Return what is asked for that Ray alone can do, in words."""
    if resources.data_parallel > 1:
        return f"resources.data_parallel is {resources.data_parallel}"
    named = ("engine_resources", "fleet_resources", "engine_accelerator", "fleet_accelerator")
    for name in named:
        if getattr(resources, name):
            return f"resources.{name} is set"
    return ""


def left_s(now: Survey) -> float:
    """Return how many seconds one core would take for what is missing, roughly."""
    rows = sum(
        want.rows * want.pool.config.max_tokens
        for want in missing_segments(now, reach(now))
        if engine_class(want.pool.config.engine).uses_gpu  # others wait, and compute nothing
    )
    repeats = now.plan.file.study.repeats
    runs = sum(_run_s(cell) for cell in now.waiting) * repeats
    ready = {id(run): ready for ready in now.ready for run in ready.runs}
    runs += sum(_run_s(ready[id(run)].cell) for run in now.missing() if id(run) in ready)
    return rows / TOKENS_S + runs


def _run_s(cell: Cell) -> float:
    train = cell.condition.train
    if "steps" not in trainer_class(train.trainer).reads:
        return FIT_S
    return train.steps * train.batch_size * train.max_length / TRAINED_TOKENS_S
