"""Groups of workers of this process: the first is a thread of it, others are processes.

A process takes seconds, and hundreds of megabytes, to load what trains; many a study is done by
then. So the others of a group start once the first has done a run, if those that wait take longer
than such a start; or else once it has been at them for as long, whatever they take.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Mapping

from engine.nodes.apart import Apart
from engine.nodes.here import start_thread
from engine.train.crew import DEATHS
from engine.train.placement import Group
from engine.train.queue import Tally
from engine.train.worker import GroupSpec, WorkerLostError, work

LOOK_S = 0.5


class HereCrew(contextlib.ExitStack):
    """Keeps groups of workers up, without Ray.

    Args:
        is_alone: Whether nothing else computes in this process meanwhile; if not, even the first
            worker of a group has a process of its own.
    """

    def __init__(self, *, is_alone: bool) -> None:
        super().__init__()
        self._is_alone = is_alone  # until a worker has this process
        self._up: set[int] = set()
        self._ends: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()

    def start(self, group: Group, duty: GroupSpec) -> None:
        """Start a group."""
        self._up.add(duty.group)
        # torch's random numbers are the process's, so that one worker alone can be a thread of it
        is_alone, self._is_alone = self._is_alone, False
        start_thread(self._keep_up, group, duty, is_alone)

    def ended(self, seconds: float) -> Mapping[int, BaseException | None]:
        """Return which groups ended since the last time, and what of if too early."""
        ended: dict[int, BaseException | None] = {}
        with contextlib.suppress(queue.Empty):
            while self._up:
                number, error = self._ends.get(timeout=0 if ended else seconds)
                ended[number] = error
                self._up.discard(number)
        return ended

    def give_up(self, number: int) -> None:
        """Do nothing: the one node is not lost without this process."""

    def wait(self) -> None:
        """Wait until all have ended."""
        while self._up:
            self.ended(LOOK_S)

    def _keep_up(self, group: Group, duty: GroupSpec, is_alone: bool) -> None:
        error: BaseException | None = None
        try:
            _Keeping(group, duty, is_alone=is_alone).run()
        except BaseException as failure:  # noqa: BLE001 - the fleet's thread judges it
            error = failure
        self._ends.put((duty.group, error))


class _Keeping:
    """Keeps one group up until its work is done."""

    def __init__(self, group: Group, duty: GroupSpec, *, is_alone: bool) -> None:
        self._workers, self._duty, self._is_alone = group.workers, duty, is_alone
        self._lock = threading.Lock()
        self._deaths = 0
        self._why = ""

    def run(self) -> None:
        """Keep it up.

        Raises:
            RuntimeError: Its workers died again and again.
        """
        first = self._begun(0)
        more = self._more(first)
        others = [self._begun(rank) for rank in range(1, min(self._workers, 1 + more))]
        for thread in (first, *others):
            thread.join()
        if self._why:
            raise RuntimeError(self._why)

    def _begun(self, rank: int) -> threading.Thread:
        return start_thread(self._do, rank)

    def _more(self, first: threading.Thread) -> int:
        """Wait until others pay, or all is done; return how many there is work for."""
        began, loaded_s = time.monotonic(), 0.0
        while first.is_alive() and self._workers > 1:
            tally: Tally = self._duty.queue.call("tally", self._duty.group)
            passed_s = time.monotonic() - began
            loaded_s = loaded_s or (passed_s if tally.done else 0.0)  # the first run included
            is_much = tally.expected_s > loaded_s or passed_s > 2 * loaded_s
            if loaded_s and is_much and tally.waiting:
                return tally.waiting
            first.join(LOOK_S)
        return 0

    def _do(self, rank: int) -> None:
        """Do one worker's work, starting it anew when it dies."""
        is_thread = self._is_alone and rank == 0
        while why := self._died_of(rank, is_thread=is_thread):
            with self._lock:
                self._deaths += 1
                if self._deaths > DEATHS:
                    self._why = why
                    return
            is_thread = False  # what has spoilt it once may have spoilt this process
            time.sleep(LOOK_S)

    def _died_of(self, rank: int, *, is_thread: bool) -> str:
        """Work; return why the worker died, or nothing if all is done."""
        if not is_thread:
            threads = self._duty.threads
            return Apart(work, self._duty, rank, self._workers, threads=threads).wait()
        try:
            work(self._duty, rank, self._workers, has_process=False)
        except WorkerLostError:
            return "its GPU failed it for good"
        return ""
