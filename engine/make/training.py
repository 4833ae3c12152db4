"""The training of a study: after its generation, or beside it where both have room."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from engine.errors import UnwritableError
from engine.make.progress import Progress
from engine.make.references import write_references
from engine.make.work import Work
from engine.nodes.room import Room
from engine.plan.plan import Plan
from engine.status.survey import Survey, survey
from engine.steps.run import Run
from engine.train.fleet import POLL_S, Fleet
from engine.train.queue import Finished

LOOK_S = 2.0  # between two looks which conditions are ready, at least
LOOK_SHARE = 0.1  # of the time that looking may take


class Training(contextlib.ExitStack):
    """Trains runs as they get ready, and reports progress; use it as a context manager.

    Args:
        work: The study's steps, the root, and who is told of each run that is there or failed.
        room: What of the cluster it may take for good, if workers are to stay up from one plan to
            the next.

    Attributes:
        room: What of the cluster it may take while rows are made; None if it must wait till then.
    """

    def __init__(self, work: Work, room: Room | None = None) -> None:
        super().__init__()
        self._plan, self._store, self._watch = work.plan, work.store, work.watch
        self._executor = work.executor
        self.room, self._lasts = room, room is not None
        self._fleet: Fleet | None = None
        self._wanted: set[str] = set()
        self._finished = 0
        self._failed: list[Finished] = []
        self._next_look = 0.0

    @contextlib.contextmanager
    def beside(self, room: Room | None) -> Iterator[None]:
        """While the body makes rows, train in this room; not at all if it is None."""
        self.room = room
        try:
            yield
        finally:
            self.room = None

    def turn_to(self, plan: Plan) -> None:
        """Train for another plan from now on, with the workers that are up.

        What was trained before may be wanted again, if its file is gone or it failed.
        """
        self._plan = plan
        if self._fleet is None or not self._fleet.is_waiting:
            self._wanted.clear()
            self._finished = 0

    def begin(self, runs: Sequence[Run]) -> None:
        """Ask for runs, each once; the first start the workers."""
        new = [run for run in runs if run.name not in self._wanted]
        if not new:
            return
        self._wanted |= {run.name for run in new}
        self._with_fleet().want(new)
        self._show()

    def warm_up(self, now: Survey) -> None:
        """While rows are made: start the workers, if there is room and work for them to come."""
        if self.room is not None and (now.waiting or now.missing()):
            self._with_fleet().warm_up()

    def _with_fleet(self) -> Fleet:
        if self._fleet is None:
            resources = self._plan.file.study.resources
            self._fleet = self.enter_context(
                Fleet(self._store, resources, self.room, self._executor())
            )
        return self._fleet

    def go_on(self) -> None:
        """While rows are made: train the conditions whose rows are all there, if there is room."""
        if self.room is None:
            return
        began = time.monotonic()
        if began >= self._next_look:
            self._begin_ready()
            took = time.monotonic() - began
            self._next_look = began + max(LOOK_S, took / LOOK_SHARE)
        if self._fleet:
            self._hear(0)

    def finish(self) -> list[Finished]:
        """Wait for all runs that were asked for; return those that failed, each once.

        Raises:
            UnwritableError: The root takes no more.
        """
        if self._fleet:
            if not self._lasts:
                self._fleet.finish()
            while self._fleet.is_waiting:
                self._hear(POLL_S)
        failed, self._failed = self._failed, []
        return failed

    def _begin_ready(self) -> None:
        """Ask for the runs whose training sets no further row can change."""
        now = survey(self._plan, self._store)
        whole = [ready for ready in now.ready if not ready.rows.short]
        runs = [run for ready in whole for run in ready.runs if run.name not in now.finished]
        if any(run.name not in self._wanted for run in runs):
            write_references(now, self._store)  # first, so that nobody cleans them away
            self.begin(runs)

    def _hear(self, seconds: float) -> None:
        for outcome in self._fleet.hear(seconds) if self._fleet else ():
            # so would all others be, once they are trained
            if outcome.failure and outcome.is_unwritable:
                raise UnwritableError(outcome.failure)
            self._finished += 1
            self._failed += [outcome] if outcome.failure else []
            self._show(f"{outcome.run.label} failed: {outcome.failure}" if outcome.failure else "")

    def _show(self, note: str = "") -> None:
        self._watch(Progress("train", len(self._wanted), self._finished, note=note))
