"""Extend pools and judge their rows, side by side, until every quota is met or given up."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from engine.curate.judging import Curated, Judging
from engine.errors import DamagedError
from engine.generate.events import Event, GivenUp, Lost, Made
from engine.generate.generation import POLL_S, Generation, Lease
from engine.generate.needs import JUDGING_CPUS
from engine.make.budget import BudgetGuard
from engine.make.demand import Demand
from engine.make.kept import SharedEngines
from engine.make.progress import Progress
from engine.make.references import write_references
from engine.make.shares import NO_SHARES, shares
from engine.make.training import Training
from engine.make.work import Work
from engine.status.spent import in_words
from engine.status.survey import Survey, survey
from engine.steps.pool import Pool, Want


class Filled(NamedTuple):
    """What came of filling views.

    Attributes:
        now: What is there of the plan.
        troubles: What went wrong with engines, and that the budget is spent, a sentence each.
        is_spent: Whether the budget bears no more rows, though some are wanted.
    """

    now: Survey
    troubles: Sequence[str] = ()
    is_spent: bool = False


def fill_views(
    work: Work,
    now: Survey,
    training: Training | None = None,
    shared: SharedEngines | None = None,
    most: int | None = None,
) -> Filled:
    """Extend pools and judge their rows, side by side, until every quota is met or given up.

    Args:
        work: The plan, and with what it is made.
        now: What is there of the plan.
        training: What trains conditions whose rows are there, while others are still made, if
            there is room for both.
        shared: Engines that are up, and stay so.
        most: Rows of a label that are wanted, at most, if not all.

    Returns:
        What came of it.

    Raises:
        ConfigError: There is no room for what is to be made.
    """
    demand = Demand(now, work.store, most)
    wanted = demand.wants()
    if demand.is_settled:
        return Filled(now)
    pools = work.plan.with_sources(demand.open_pools)
    with contextlib.ExitStack() as stack:
        if shared:
            generation = stack.enter_context(shared.engines(pools))
        else:
            generation = stack.enter_context(_own_engines(work, pools, training, stack))
        loop = FillLoop(work, demand, generation, BudgetGuard(now), training)
        loop.want(wanted)
        if training:
            training.warm_up(now)
        # while engines start; and first, so that nobody cleans away what they will make
        write_references(now, work.store)
        loop.run()
    return Filled(survey(work.plan, work.store), loop.troubles, loop.is_spent)


def _own_engines(
    work: Work, pools: Sequence[Pool], training: Training | None, stack: contextlib.ExitStack
) -> Generation:
    """Return engines for these pools alone, and give training what is left beside them."""
    study = work.plan.file.study
    executor = work.executor()
    rooms = shares(executor, study.resources, pools) if training else NO_SHARES
    if training:  # what begins after the engines have ended may take what they had
        stack.enter_context(training.beside(rooms.training))
    lease = Lease(executor, rooms.generation)
    return Generation(pools, work.store, study.resources, study.name, lease)


class FillLoop:
    """The loop of ``fill_views``: what is made is judged, and what is judged tells what to make.

    Attributes:
        troubles: What went wrong with engines, and that the budget is spent, a sentence each.
        is_spent: Whether the budget bears no more rows, though some are wanted.
    """

    def __init__(
        self,
        work: Work,
        demand: Demand,
        generation: Generation,
        budget: BudgetGuard,
        training: Training | None,
    ) -> None:
        self._demand, self._generation, self._budget = demand, generation, budget
        self._watch, self._training = work.watch, training
        self._judging = Judging(work.executor(), work.store, JUDGING_CPUS)
        self._made_rows = self._tokens = self._judged = 0
        self.troubles: list[str] = []
        self.is_spent = False

    def run(self) -> None:
        """Go on until nothing more is to be made or judged."""
        self._show()
        if unjudged := self._demand.unjudged_rows:
            self._watch(Progress("curate", unjudged, 0))
        while True:
            for view, slot in self._demand.to_judge():
                self._judging.begin(view, slot)
            self.want(self._demand.wants())
            self._generation.finish({pool.fingerprint for pool in self._demand.open_pools})
            if self._demand.is_settled:
                return
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
        allowed = self._budget.affordable(wanted, before)
        self._demand.withdrawn(wanted[len(allowed) :])
        self._generation.want(allowed)
        if wanted and not allowed and not before:
            self._stop_spending()

    def _stop_spending(self) -> None:
        self.is_spent = True
        self._demand.stop(pool.fingerprint for pool in self._demand.open_pools)
        limits = self._budget.spent.against(self._budget.limits)
        reached = ", ".join(
            f"{name} {limit:,g}, {used:,.6g} taken" for name, (used, limit) in limits.items()
        )
        self.troubles.append(
            f"The budget bears no more rows ({reached}). Raise it and run the same command to go "
            "on."
        )
        self._show(self.troubles[-1])

    def _hear(self, event: Event) -> None:
        if isinstance(event, Made):
            self._demand.arrived(event.part)
            self._budget.count(event)
            self._made_rows += event.part.rows
            self._tokens += event.tokens
            self._show()
        if isinstance(event, Lost):
            self._show(f"an engine was lost and is replaced: {event.cause}")
        if isinstance(event, GivenUp):
            self._demand.stop(self._generation.pools_of(event.group))
            self.troubles.append(f"No engine was left that works: {event.cause}")
            self._show(self.troubles[-1])

    def _take(self, done: Curated) -> None:
        folders = (done.view.folder, done.view.pool.folder)
        for name in done.damaged:
            if not name.startswith(
                folders
            ):  # such as gold rows, which are published when all begins
                raise DamagedError(name, "it was altered while it was in use")
        self._demand.judged(done)
        self._judged += done.rows
        notes = [f"{name} was damaged and is made again" for name in done.damaged]
        total = self._judged + self._demand.unjudged_rows + self._demand.awaited_rows
        self._watch(Progress("curate", total, self._judged, note="; ".join(notes)))

    def _show(self, note: str = "") -> None:
        awaited = self._demand.awaited_rows
        total = self._made_rows + awaited
        if total or note:
            spent = self._spending(awaited)
            self._watch(Progress("generate", total, self._made_rows, self._tokens, note, spent))

    def _spending(self, awaited: int) -> str:
        """Say what generation took, and what it will have taken when the awaited rows are there."""
        spent, budget = self._budget.spent, self._budget.limits
        if not spent.rows:
            return ""
        words = f"spent {in_words(spent, budget)}"
        hits = spent.cached_tokens / spent.prompt_tokens if spent.prompt_tokens else 0
        words += f"; {hits:.0%} of prompt tokens cached" if hits else ""
        if not awaited:
            return words
        return f"{words}; projected {in_words(self._budget.projected(awaited), budget)}"
