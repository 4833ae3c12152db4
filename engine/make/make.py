"""Make what is missing of a plan: rows, views, training sets, runs.

Rows are made and judged side by side, and conditions whose rows are all there are trained beside
that where there is room for both; else training waits until the engines have ended.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from engine.make.fill import Filled, fill_views
from engine.make.kept import Kept
from engine.make.references import write_references
from engine.make.training import Training
from engine.nodes.session import ray_session
from engine.plan.plan import Plan
from engine.progress import Progress, Watch
from engine.status.stale import astray
from engine.status.survey import survey
from engine.status.versions import other_runs, told
from engine.steps.pool import Pool
from engine.steps.view import View
from engine.store.segments import commit_recipe
from engine.store.store import Store
from engine.study.resources import Resources
from engine.train.placement import check_fleet
from engine.train.queue import Finished


class Making(NamedTuple):
    """What came of making what was missing.

    Attributes:
        failed: The runs that failed.
        filled: What came of making their rows.
    """

    failed: list[Finished]
    filled: Filled


def make(  # noqa: PLR0913 - what a plan is made with
    plan: Plan,
    store: Store,
    watch: Watch,
    ray_needed: Callable[[], None],
    training: Training,
    kept: "Kept | None" = None,
) -> Making:
    """Make what is missing of a plan, up to its runs.

    Args:
        plan: The steps.
        store: The root.
        watch: Told of all progress.
        ray_needed: Called before Ray is used.
        training: What trains.
        kept: Engines that are up, and stay so.

    Raises:
        DamagedError: A file is damaged, which must be set aside before this is called anew.
        ConfigError: There is no room for what is to be made.
    """
    publish_inputs(plan, store)
    complete_recipes(plan, store)
    filled = fill_views(plan, store, watch, ray_needed, training, kept=kept)
    while strays := astray(plan, store):
        for name in strays:
            store.retire(name)
            note = f"{name} is made again: what it was made from has changed"
            watch(Progress("mend", 1, 1, note=note))
        filled = fill_views(plan, store, watch, ray_needed, training, kept=kept)
    now = survey(plan, store)
    for line in told(other_runs(plan, now, store)):
        watch(Progress("train", 0, 0, note=line))
    write_references(plan, now, store)
    if missing := now.missing():
        ray_needed()
        training.begin(missing)
    return Making(training.finish(), filled)


def publish_inputs(plan: Plan, store: Store) -> None:
    """Put the rows that workers read into the store."""
    for rows in plan.inputs():
        rows.publish(store)


def complete_recipes(plan: Plan, store: Store) -> None:
    """Write the recipes that are missing beside rows; others come with the first rows."""
    made: list[Pool | View] = [*plan.pools, *plan.views]
    for one in made:
        is_there = store.has(f"{one.folder}/recipe.json")
        if not is_there and store.names(f"{one.folder}/rows"):
            commit_recipe(store, one.folder, one.recipe())


class Lazily:
    """Starts Ray when it is first needed: a study that is done already needs none."""

    def __init__(self, stack: contextlib.ExitStack, where: Resources) -> None:
        self._stack, self._where, self._is_up = stack, where, False

    def __call__(self) -> None:
        """Start it, unless it is up."""
        if not self._is_up:
            self._stack.enter_context(ray_session())
            check_fleet(self._where)
            self._is_up = True
