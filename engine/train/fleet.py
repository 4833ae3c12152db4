"""Train many classifiers: groups of warm workers, all pulling runs from one queue.

A worker group per run would cost 5 to 11 seconds of process start each. Groups lie on one node
each, so that the death of a worker, which a new group is the answer to, costs no more than the
runs that its group was at.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Self

from engine.errors import TrainingError
from engine.nodes.executor import Executor, LostError, Service, running
from engine.nodes.room import Room
from engine.steps.run import Run
from engine.store.store import Store
from engine.study.resources import Resources
from engine.train.crew import Crew, crew_of
from engine.train.placement import Group, groups_on, layout
from engine.train.probe import workers_on_a_gpu
from engine.train.queue import Finished, RunQueue
from engine.train.worker import GroupSpec

POLL_S = 0.5
TRIES = 3  # times that groups may come to nothing, without a run finished in between


def train_fleet(
    runs: Sequence[Run], store: Store, resources: Resources, finished: Callable[[Finished], None]
) -> None:
    """Train runs, and no others.

    Args:
        runs: What to train.
        store: Where rows are read and runs committed.
        resources: Workers, and CPUs and GPUs of each.
        finished: Told of each run that is there or failed.

    Raises:
        ConfigError: Not one worker fits the cluster.
        TrainingError: No group of workers stays up.
    """
    with Fleet(store, resources) as fleet:
        fleet.want(runs)
        fleet.finish()
        while fleet.is_waiting:
            for outcome in fleet.hear(POLL_S):
                finished(outcome)


class Fleet(contextlib.ExitStack):
    """Trains runs as they are asked for; workers start with the first. A context manager.

    Args:
        store: Where rows are read and runs committed.
        resources: Workers, and CPUs and GPUs of each.
        room: What the workers may take while others compute, too; all there is if None.
        executor: What they run on; what is up if None.
    """

    def __init__(
        self,
        store: Store,
        resources: Resources,
        room: Room | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__()
        self._store, self._resources, self._room = store, resources, room
        self._executor = executor or running()
        self._groups: dict[int, int] = {}  # those that are up, by number: their place in the layout
        self._wanted: set[str] = set()
        self._ends = 0
        self._number = 0
        self._layout: dict[int, Group] = {}
        self._needs: dict[str, float] | None = None  # of each worker, once there is a layout
        self._nodes: set[str] = set()  # those that it has reckoned with
        self._without_s: float | None = None  # since when no node is left for any worker
        self._queue: Service
        self._crew: Crew

    def __enter__(self) -> Self:
        self._crew = self.enter_context(
            crew_of(self._executor, self._store, is_alone=self._room is None)
        )
        resources = self._resources
        self._queue = self._executor.service(
            RunQueue, resources.micro_batch, resources.data_parallel
        )
        self.push(self._end)
        return self

    def _end(self, kind: type[BaseException] | None, *_: object) -> None:
        is_interrupted = kind is KeyboardInterrupt
        if is_interrupted and self._executor.name == "ray":  # all of it is about to end
            return
        with contextlib.suppress(LostError):
            self._queue.call("drop")
            if is_interrupted:
                return
            self._crew.wait()  # so that what they took is free when this returns
            self._queue.end()

    def want(self, runs: Sequence[Run]) -> None:
        """Ask for runs; each once.

        Raises:
            ConfigError: Not one worker fits the cluster.
        """
        new = [run for run in runs if run.name not in self._wanted]
        if not new:
            return
        self._wanted |= {run.name for run in new}
        if self._needs is None:
            self._nodes = self._executor.nodes()
            self._layout = dict(enumerate(self._laid_out(new)))
            self._needs = self._layout[0].needs
        self._queue.call("want", new)
        self._start(len(new))

    def finish(self) -> None:
        """Say that no more will be wanted: workers end when all is done."""
        self._queue.call("close")

    @property
    def workers(self) -> int:
        """How many workers the cluster has room for; 0 before any run is wanted."""
        return sum(group.workers for group in self._layout.values())

    @property
    def is_waiting(self) -> bool:
        """Whether a run that is wanted is neither there nor failed."""
        return bool(self._wanted)

    def hear(self, seconds: float) -> list[Finished]:
        """Return what has finished since the last time, after so many seconds at most.

        Raises:
            TrainingError: No group of workers stays up.
            UnwritableError: Nor can any, since the root takes no more.
        """
        ended = self._crew.ended(seconds)
        news: list[Finished] = self._queue.call("news")
        self._wanted -= {outcome.run.name for outcome in news}
        self._ends = 0 if news else self._ends
        self._look_after_groups(ended)
        return news

    def _laid_out(self, runs: Sequence[Run]) -> list[Group]:
        def probe() -> int:
            return workers_on_a_gpu(self._executor, self._store, self._resources, runs)

        return layout(self._resources, self._room or self._executor.room(), probe)

    def _start(self, runs: int) -> None:
        """Start the groups that are not up, no more than there is work for."""
        # with a room of its own more work comes later, and a group does not grow
        is_whole = self._resources.data_parallel > 1 or self._room is not None
        taken = set(self._groups.values())
        for place, group in self._layout.items():
            if runs <= 0 or place in taken:
                continue
            workers = group.workers if is_whole else min(group.workers, runs)
            runs -= 1 if self._resources.data_parallel > 1 else workers
            self._number += 1
            self._groups[self._number] = place
            self._crew.start(group._replace(workers=workers), self._duty(group))

    def _duty(self, group: Group) -> GroupSpec:
        return GroupSpec(
            queue=self._queue,
            store=self._store,
            group=self._number,
            threads=math.ceil(self._resources.fleet_cpus),
            uses_gpu=bool(group.needs.get("GPU")),
            trains_together=self._resources.data_parallel > 1,
            is_compiled=self._resources.compile_models,
            keeps_models=self._resources.keep_models,
        )

    def _look_after_groups(self, ended: Mapping[int, BaseException | None]) -> None:
        """Take back what groups were at that are no more, and start others in their place."""
        alive = self._executor.nodes()
        cause: BaseException | None = None
        for number, place in list(self._groups.items()):
            node = self._layout[place].node
            if number in ended:
                cause = ended[number] or cause
            elif node not in alive:
                self._crew.give_up(number)
                cause = TrainingError(f"the node {node} is gone")
            else:
                continue
            del self._groups[number]
            self._queue.call("release", number)
        self._layout = {at: group for at, group in self._layout.items() if group.node in alive}
        if self._wanted and self._room is None and (joined := alive - self._nodes):
            self._widen(joined)
        if self._wanted:
            self._go_on(cause)

    def _go_on(self, cause: BaseException | None) -> None:
        """Start groups in the place of those that ended early, or wait for nodes for them."""
        if not self._layout:
            self._wait_for_nodes(cause)
            return
        self._without_s = None
        if cause or not self._groups:
            self._store.check_room()  # which Ray Train wants, too, and says at length
            self._ends += 1
            if self._ends < TRIES:
                self._start(len(self._wanted))
            elif not self._groups:
                raise TrainingError(f"The training fleet ended early: {cause}") from cause

    def _widen(self, joined: AbstractSet[str]) -> None:
        """Have groups on nodes that were not there before, as many as the study's fleet may have.

        Beside generation nodes that join are left to it, since it cannot know what is taken here.
        """
        self._nodes |= joined
        needs = self._needs or {}
        room = self._executor.room()
        fits = {name: fit for name, fit in room.fits(needs).items() if name in joined}
        new = groups_on(fits, needs, self._resources, elsewhere=self.workers)
        self._layout |= dict(enumerate(new, start=max(self._layout, default=-1) + 1))
        if new:
            self._start(len(self._wanted))

    def _wait_for_nodes(self, cause: BaseException | None) -> None:
        """Give a cluster that replaces lost nodes the time that engines have to start."""
        now = time.monotonic()
        self._without_s = self._without_s or now
        if self._room is not None or now - self._without_s > self._resources.patience_s:
            raise TrainingError(
                f"The training fleet ended early: no node is left with room for a worker ({cause})"
            ) from cause
