"""Make what is missing of a plan: rows, views, training sets, runs.

Rows are made and judged side by side, and conditions whose rows are all there are trained beside
that where there is room for both; else training waits until the engines have ended.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, TypeVar

from engine.commits import CommitPoint, commit_point
from engine.curate.stage import Curated, Judging
from engine.curate.view import View
from engine.demand import Demand
from engine.descent import astray
from engine.errors import DamagedError
from engine.generate.ledger import Event, GivenUp, Lost, Made
from engine.generate.pool import Pool
from engine.generate.stage import JUDGING_CPUS, POLL_S, Generation, Want
from engine.plan import Plan
from engine.progress import Progress, Watch
from engine.references import write_references
from engine.segments import commit_recipe
from engine.session import Room
from engine.shares import shares
from engine.soundness import damage
from engine.spending import Purse, in_words
from engine.store import Store
from engine.study.resources import Resources
from engine.survey import survey
from engine.train.queue import Finished
from engine.training import Training
from engine.versions import other_runs, told

Result = TypeVar("Result")


class Filled(NamedTuple):
    """What came of filling views.

    Attributes:
        troubles: What went wrong with engines, and that the budget is spent, a sentence each.
        is_spent: Whether the budget bears no more rows, though some are wanted.
    """

    troubles: list[str]
    is_spent: bool = False


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


class Kept:
    """Engines that stay up from one plan to the next, in a room of their own beside training.

    Use it as a context manager.

    Args:
        store: The root.
        where: Engines' resources.
        made_for: The study that rows are made for.
        room: What of the cluster the engines may take.
    """

    def __init__(self, store: Store, where: Resources, made_for: str, room: Room) -> None:
        self._store, self._where, self._made_for, self._room = store, where, made_for, room
        self._stack = contextlib.ExitStack()
        self._generation: Generation | None = None

    def __enter__(self) -> "Kept":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def engines(self, pools: Iterable[Pool]) -> Iterator[Generation]:
        """Lend the engines, which start where need be, to the body for these pools."""
        if self._generation is None:
            own = Generation(
                pools, self._store, self._where, self._made_for, self._room, lasts=True
            )
            self._generation = self._stack.enter_context(own)
        else:
            self._generation.open(pools)
        yield self._generation


def mending(store: Store, watch: Watch, attempt: Callable[[], Result]) -> Result:
    """Try something until it meets no damaged file, each of which is set aside.

    Raises:
        DamagedError: A file is damaged again that was made anew.
    """
    mended: set[str] = set()
    while True:
        try:
            return attempt()
        except DamagedError as found:
            if found.name in mended:
                raise
            mended.add(found.name)
            mend(found, store, watch)


def mend(found: DamagedError, store: Store, watch: Watch) -> None:
    """Set a damaged file aside; whoever needs it finds it missing, and makes it again.

    A file whose checksum agrees is retired if it does not hold what its name says. With a
    classifier's file go the others, and its run, since only together they come from one training.
    """
    name = found.name
    # a run that waits is called by its label alone, and has no file
    point = commit_point(name) if "/" in name else CommitPoint.RUN
    if point is CommitPoint.MODEL:
        folder = name.rpartition("/")[0]
        for own in store.names(folder):
            store.retire(f"{folder}/{own}")
        store.retire(f"runs/{folder.partition('/')[2]}.json")
    elif not store.set_aside(name) and damage(store, name):
        store.retire(name)
    becomes = "is set aside" + _LOST.get(point, " and made again")
    watch(Progress("mend", 1, 1, note=f"{name} {becomes}: {found.why}"))


_LOST = {
    CommitPoint.EMBEDDINGS: ", and made again for whoever needs it",
    CommitPoint.SITTING: ", and how long that sitting took does not count any more",
    CommitPoint.REFERENCES: " and made again, without what was made under other settings, which "
    "`textmill clean` now takes for nobody's",
}


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


def fill_views(  # noqa: PLR0913 - all that makes and judges comes together here
    plan: Plan,
    store: Store,
    watch: Watch,
    ray_needed: Callable[[], None],
    training: Training | None = None,
    most: int | None = None,
    kept: Kept | None = None,
) -> Filled:
    """Extend pools and judge their rows, side by side, until every quota is met or given up.

    Args:
        plan: The study's steps.
        store: The root.
        watch: Told of all progress.
        ray_needed: Called before Ray is used.
        training: What trains conditions whose rows are there, while others are still made, if
            there is room for both.
        most: Rows of a label that are wanted, at most, if not all.
        kept: Engines that are up, and stay so.

    Returns:
        What came of it.

    Raises:
        ConfigError: There is no room for what is to be made.
    """
    demand = Demand(plan, store, most)
    wanted = demand.wants()
    if demand.is_settled:
        return Filled([])
    ray_needed()
    study, purse = plan.file.study, Purse(plan, store)
    pools, room = plan.with_sources(demand.open_pools), None
    if training and not kept:
        room, training.room = shares(study.resources, pools)
    with contextlib.ExitStack() as stack:
        generation = stack.enter_context(
            kept.engines(pools)
            if kept
            else Generation(pools, store, study.resources, study.name, room)
        )
        judging = Judging(store, JUDGING_CPUS)
        filling = _Filling(demand, generation, judging, purse, watch, training)
        filling.want(wanted)
        # while engines start; and first, so that nobody cleans away what they will make
        write_references(plan, survey(plan, store), store)
        filled = filling.fill()
    if training and not kept:
        training.room = None  # what begins now may take what the engines had
    return filled


class _Filling:
    """The loop of ``fill_views``: what is made is judged, and what is judged tells what to make."""

    def __init__(  # noqa: PLR0913 - it joins these
        self,
        demand: Demand,
        generation: Generation,
        judging: Judging,
        purse: Purse,
        watch: Watch,
        training: Training | None,
    ) -> None:
        self._demand, self._generation, self._judging = demand, generation, judging
        self._purse, self._watch, self._training = purse, watch, training
        self._made = self._tokens = self._judged = 0
        self._troubles: list[str] = []
        self._is_spent = False

    def fill(self) -> Filled:
        self._show()
        if unjudged := self._demand.unjudged_rows:
            self._watch(Progress("curate", unjudged, 0))
        while True:
            for view, slot in self._demand.to_judge():
                self._judging.begin(view, slot)
            self.want(self._demand.wants())
            self._generation.finish({pool.fingerprint for pool in self._demand.open_pools})
            if self._demand.is_settled:
                return Filled(self._troubles, self._is_spent)
            is_making = bool(self._demand.awaited_rows)
            for event in self._generation.hear(POLL_S if is_making else 0):
                self._hear(event)
            for done in self._judging.finished(0 if is_making else POLL_S):
                self._take(done)
            if self._training:
                self._training.go_on()

    def want(self, wanted: Sequence[Want]) -> None:
        """Ask for segments, as far as the budget goes."""
        before = self._demand.awaited_rows - sum(want.rows for want in wanted)
        allowed = self._purse.affordable(wanted, before)
        self._demand.withdrawn(wanted[len(allowed) :])
        self._generation.want(allowed)
        if wanted and not allowed and not before:
            self._stop_spending()

    def _stop_spending(self) -> None:
        self._is_spent = True
        self._demand.stop(pool.fingerprint for pool in self._demand.open_pools)
        limits = self._purse.spent.against(self._purse.budget)
        told = ", ".join(
            f"{name} {limit:,g}, {used:,.6g} taken" for name, (used, limit) in limits.items()
        )
        self._troubles.append(
            f"The budget bears no more rows ({told}). Raise it and run the same command to go on."
        )
        self._show(self._troubles[-1])

    def _hear(self, event: Event) -> None:
        if isinstance(event, Made):
            self._demand.made(event.part)
            self._purse.pay(event)
            self._made += event.part.rows
            self._tokens += event.tokens
            self._show()
        if isinstance(event, Lost):
            self._show(f"an engine was lost and is replaced: {event.cause}")
        if isinstance(event, GivenUp):
            self._demand.stop(self._generation.pools_of(event.group))
            self._troubles.append(f"No engine was left that works: {event.cause}")
            self._show(self._troubles[-1])

    def _take(self, done: Curated) -> None:
        own = (done.view.folder, done.view.pool.folder)
        for name in done.damaged:
            if not name.startswith(own):  # such as gold rows, which are published when all begins
                raise DamagedError(name, "it was altered while it was in use")
        self._demand.judged(done)
        self._judged += done.rows
        notes = [f"{name} was damaged and is made again" for name in done.damaged]
        total = self._judged + self._demand.unjudged_rows + self._demand.awaited_rows
        self._watch(Progress("curate", total, self._judged, note="; ".join(notes)))

    def _show(self, note: str = "") -> None:
        awaited = self._demand.awaited_rows
        total = self._made + awaited
        if total or note:
            spent = self._told(awaited)
            self._watch(Progress("generate", total, self._made, self._tokens, note, spent))

    def _told(self, awaited: int) -> str:
        """Say what generation took, and what it will have taken when the awaited rows are there."""
        spent, budget = self._purse.spent, self._purse.budget
        if not spent.rows:
            return ""
        told = f"spent {in_words(spent, budget)}"
        hits = spent.cached_tokens / spent.prompt_tokens if spent.prompt_tokens else 0
        told += f"; {hits:.0%} of prompt tokens cached" if hits else ""
        if not awaited:
            return told
        return f"{told}; projected {in_words(self._purse.projected(awaited), budget)}"
