"""Make what is missing of a plan: rows, views, training sets, runs.

Rows are made and judged side by side, and conditions whose rows are all there are trained beside
that where there is room for both; else training waits until the engines have ended.
"""

from collections.abc import Mapping
from typing import NamedTuple

from engine.make.fill import Filled, fill_views
from engine.make.kept import SharedEngines
from engine.make.progress import Progress
from engine.make.references import write_references
from engine.make.training import Training
from engine.make.work import Work
from engine.plan.plan import Plan
from engine.status.stale import astray
from engine.status.survey import Survey, survey
from engine.status.versions import notices, other_runs
from engine.steps.pool import Pool
from engine.steps.view import View
from engine.store.schema import NONE
from engine.store.store import Store


class Making(NamedTuple):
    """What came of making what was missing.

    Attributes:
        failures: Why runs failed, by their files.
        filled: What came of making their rows.
        now: What is there of the plan, the runs that were made among it.
    """

    failures: Mapping[str, str]
    filled: Filled
    now: Survey


def make(work: Work, training: Training, shared: SharedEngines | None = None) -> Making:
    """Make what is missing of a plan, up to its runs.

    Args:
        work: The plan, and with what it is made.
        training: What trains.
        shared: Engines that are up, and stay so.

    Raises:
        DamagedError: A file is damaged, which must be set aside before this is called anew.
        ConfigError: There is no room for what is to be made.
    """
    plan, store, watch = work.plan, work.store, work.watch
    prepare(plan, store)
    filled = fill_views(work, survey(plan, store), training, shared)
    while strays := astray(filled.now):
        for name in strays:
            store.retire(name)
            note = f"{name} is made again: what it was made from has changed"
            watch(Progress("mend", 1, 1, note=note))
        filled = fill_views(work, survey(plan, store), training, shared)
    now = filled.now
    before = write_references(now, store)
    for line in notices(other_runs(now, before.get("runs", {}))):
        watch(Progress("train", 0, 0, note=line))
    if missing := now.missing():
        training.begin(missing)
    failures = {run.name: run.failure or "" for run in training.finish()}
    # a run can have failed over a file that was damaged meanwhile: a new look finds it
    now = survey(plan, store) if failures else now.after_work(store)
    return Making(failures, filled, now)


def prepare(plan: Plan, store: Store) -> None:
    """Put into the store what needs no engine: inputs, recipes beside rows, lists of topics."""
    for rows in plan.inputs():
        rows.publish(store)
    _complete_recipes(plan, store)
    for topics in plan.topic_pools:
        topics.settle(topics.segments(store)[NONE], store)


def _complete_recipes(plan: Plan, store: Store) -> None:
    """Write the recipes that are missing beside rows; others come with the first rows."""
    steps: list[Pool | View] = [*plan.pools, *plan.views]
    for step in steps:
        is_there = store.has(f"{step.folder}/recipe.json")
        if not is_there and store.names(f"{step.folder}/rows"):
            store.commit_recipe(step.folder, step.recipe())
