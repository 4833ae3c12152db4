"""Which run goes to which worker, and what becomes of those whose worker died."""

import math
from collections import Counter
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from engine.steps.run import Run
from engine.train.trainer import trainer_class

DEATHS_ALONE = 3  # of workers that did nothing else, before a run is given up
LESS = 4  # the last time, so many times fewer rows are computed at a time


class Finished(NamedTuple):
    """What became of a run.

    Attributes:
        run: The run.
        seconds: Of the training alone.
        failure: Why there is no file; None if there is one.
        is_unwritable: Whether that is because the root takes no more, for any run.
    """

    run: Run
    seconds: float
    failure: str | None
    is_unwritable: bool = False

    @property
    def name(self) -> str:
        """The run's file in the store."""
        return self.run.name


class Assignment(NamedTuple):
    """A run to be trained.

    Attributes:
        run: The run.
        micro_batch: Rows of a batch to compute at a time; all of a worker's if None.
        has_less: Whether that is less than usual, for want of memory.
    """

    run: Run
    micro_batch: int | None
    has_less: bool = False


class NoRun(Enum):
    """Why a worker is handed no run: there may yet be one, or there will be none."""

    WAIT = auto()
    END = auto()


class Outcome(NamedTuple):
    """What a worker says of the run that it was given.

    Attributes:
        seconds: Of the training alone.
        failure: Why there is no file; None if there is one.
        wants_memory: Whether it failed for want of memory alone.
        is_unwritable: Whether it failed because the root takes no more.
    """

    seconds: float
    failure: str | None = None
    wants_memory: bool = False
    is_unwritable: bool = False


class Worker(NamedTuple):
    """Who does runs: a worker of a group; where all of a group train together, the first."""

    group: int
    rank: int


class Tally(NamedTuple):
    """How a group of workers comes forward.

    Attributes:
        done: Runs that it has done.
        waiting: Runs that wait, for whomever.
        expected_s: Seconds of training that those take one worker, as far as it can be told.
    """

    done: int
    waiting: int
    expected_s: float


class RunQueue:
    """Hands out runs, the longest first; an actor without a CPU.

    The queue is a convenience: what is pending is derived from the store's files.

    A death takes a whole group with it, so each run that was being trained in it is a suspect. A
    suspect is tried again with nothing beside it in its group: if its worker dies again and again,
    it is the one to blame.
    """

    def __init__(self, micro_batch: int | None = None, workers_of_a_run: int = 1) -> None:
        self._micro_batch, self._workers = micro_batch, workers_of_a_run
        self._waiting: list[Assignment] = []
        self._suspects: list[Assignment] = []
        self._held: dict[Worker, Assignment] = {}
        self._alone: set[Worker] = set()  # those that try a suspect
        self._deaths: Counter[str] = Counter()  # of workers, by the run that they tried alone
        self._finished: list[Finished] = []
        self._gone: set[int] = set()
        self._done: dict[int, tuple[int, float, int]] = {}  # runs, seconds, rows, by group
        self._is_closed = False

    def want(self, runs: Sequence[Run]) -> None:
        """Ask for runs."""
        self._waiting += [Assignment(run, self._micro_batch) for run in runs]
        # and those of a model together, which workers then need not load again
        self._waiting.sort(
            key=lambda assignment: (-length(assignment.run), assignment.run.model.place)
        )

    def close(self) -> None:
        """Say that no more will be wanted: workers end when all are done."""
        self._is_closed = True

    def drop(self) -> None:
        """Let go of what waits; what is being trained goes on."""
        self._waiting, self._suspects = [], []
        self._is_closed = True

    def join(self, worker: Worker) -> None:
        """Take back what a worker's predecessor was doing when it died."""
        if (assignment := self._held.pop(worker, None)) is None:
            return
        if worker in self._alone:
            self._alone.remove(worker)
            self._deaths[assignment.run.name] += 1
        deaths = self._deaths[assignment.run.name]
        if deaths < DEATHS_ALONE - 1:
            self._suspects.append(assignment)
            return
        if deaths < DEATHS_ALONE:  # who kills for want of memory does not say so
            self._suspects.append(self._with_less(assignment) or assignment)
            return
        reason = "its worker died again and again; it may need more memory than there is"
        self._finished.append(Finished(assignment.run, 0.0, reason))

    def release(self, group: int) -> None:
        """Take back what a group was doing that is no more; its workers may still ask for more."""
        self._gone.add(group)
        for worker in [worker for worker in self._held if worker.group == group]:
            self.join(worker)

    def take(self, worker: Worker, done: Outcome | None = None) -> Assignment | NoRun:
        """Hear what became of the last run, and hand out the next.

        Returns:
            A run, or why there is none.
        """
        if done:
            self.finish(worker, done)
        if worker.group in self._gone:
            return NoRun.END
        group = {other for other in self._held if other.group == worker.group}
        if group & self._alone:
            return NoRun.WAIT
        if self._waiting:
            self._held[worker] = self._waiting.pop(0)
            return self._held[worker]
        if self._suspects and not group:
            self._held[worker] = self._suspects.pop(0)
            self._alone.add(worker)
            return self._held[worker]
        return NoRun.WAIT if self._suspects or not self._is_closed else NoRun.END

    def finish(self, worker: Worker, done: Outcome) -> None:
        """Hear what became of the run that a worker was given."""
        if (assignment := self._held.pop(worker, None)) is None:
            return  # another of those that train it together told before
        self._alone.discard(worker)
        done_runs, seconds, rows = self._done.get(worker.group, (0, 0.0, 0))
        self._done[worker.group] = (
            done_runs + 1,
            seconds + done.seconds,
            rows + length(assignment.run),
        )
        if done.wants_memory and (less := self._with_less(assignment)):
            self._waiting.append(less)
            return
        finished = Finished(assignment.run, done.seconds, done.failure, done.is_unwritable)
        self._finished.append(finished)

    def _with_less(self, assignment: Assignment) -> Assignment | None:
        """Return a run with fewer rows to compute at a time; None if that was tried, or cannot."""
        whole = math.ceil(assignment.run.config.batch_size / self._workers)
        usual = min(whole, self._micro_batch or whole)
        less = max(1, usual // LESS)
        if assignment.has_less or less == usual:
            return None
        return Assignment(assignment.run, less, has_less=True)

    def tally(self, group: int) -> Tally:
        """Return how a group comes forward."""
        done, seconds, rows = self._done.get(group, (0, 0.0, 0))
        remaining = sum(length(assignment.run) for assignment in self._waiting)
        expected = seconds / rows * remaining if rows else 0.0
        return Tally(done, len(self._waiting), expected)

    def news(self) -> list[Finished]:
        """Return what has finished since the last call."""
        news, self._finished = self._finished, []
        return news


def length(run: Run) -> int:
    """Return the rows that a run trains on, one after the other; 0 if it takes no steps."""
    takes_steps = "steps" in trainer_class(run.config.trainer).reads
    return run.config.steps * run.config.batch_size if takes_steps else 0
