"""Extend pools and judge their rows, side by side, until every quota is met or given up."""

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.curate.judging import Curated, Judging
from engine.errors import DamagedError
from engine.generate.events import Event, GivenUp, Lost, Made
from engine.generate.generation import POLL_S, Generation
from engine.generate.needs import JUDGING_CPUS
from engine.make.budget import Purse
from engine.make.demand import Demand
from engine.make.kept import Kept
from engine.make.references import write_references
from engine.make.shares import shares
from engine.make.training import Training
from engine.plan.plan import Plan
from engine.progress import Progress, Watch
from engine.status.spent import in_words
from engine.status.survey import survey
from engine.steps.pool import Want
from engine.store.store import Store


class Filled(NamedTuple):
    """What came of filling views.

    Attributes:
        troubles: What went wrong with engines, and that the budget is spent, a sentence each.
        is_spent: Whether the budget bears no more rows, though some are wanted.
    """

    troubles: list[str]
    is_spent: bool = False


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
