"""Train many classifiers: groups of warm Ray Train workers, all pulling runs from one queue.

A worker group per run would cost 5 to 11 seconds of process start each. Groups lie on one node
each, so that the death of a worker, which Ray Train answers with a new group, costs no more than
the runs that its group was at.
"""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Self

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig

from engine.errors import TrainingError
from engine.nodes.actors import Actor, Reference, actor_at_home, end, task_at_home
from engine.nodes.room import Room, alive_nodes
from engine.steps.run import Run
from engine.store.store import Store
from engine.study.resources import Resources
from engine.train.placement import Group, groups_on, layout
from engine.train.probe import workers_on_a_gpu
from engine.train.queue import Finished, RunQueue
from engine.train.worker import GroupSpec, work

POLL_S = 0.5
DEATHS = 8  # of a group, before another is started in its place
TRIES = 3  # times that groups may come to nothing, without a run finished in between
PATIENCE_S = 7 * 24 * 3600  # that workers which train together wait for each other


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
        room: What of the cluster the workers may take; all of it if None.
    """

    def __init__(self, store: Store, resources: Resources, room: Room | None = None) -> None:
        super().__init__()
        self._store, self._resources, self._room = store, resources, room
        # those that are up, by number: their place in the layout, and the task that keeps them up
        self._groups: dict[int, tuple[int, Reference]] = {}
        self._wanted: set[str] = set()
        self._ends = 0
        self._number = 0
        self._layout: dict[int, Group] = {}
        self._needs: dict[str, float] | None = None  # of each worker, once there is a layout
        self._nodes: set[str] = set()  # those that it has reckoned with
        self._without_s: float | None = None  # since when no node is left for any worker
        self._queue: Actor

    def __enter__(self) -> Self:
        self._storage = self.enter_context(self._store.scratch())
        self._queue = actor_at_home(
            RunQueue, self._resources.micro_batch, self._resources.data_parallel
        )
        self.push(self._end)
        return self

    def _end(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:  # Ray is about to end, and all of it
            return
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(self._queue.drop.remote())
            tasks = [task for _, task in self._groups.values()]
            if tasks:  # so that what they took is free when this returns
                ray.wait(tasks, num_returns=len(tasks))
            end(self._queue)

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
            self._nodes = alive_nodes()
            self._layout = dict(enumerate(self._laid_out(new)))
            self._needs = self._layout[0].needs
        ray.get(self._queue.want.remote(new))
        self._start(len(new))

    def finish(self) -> None:
        """Say that no more will be wanted: workers end when all is done."""
        ray.get(self._queue.close.remote())

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
        tasks = [task for _, task in self._groups.values()]
        ended = ray.wait(tasks, num_returns=len(tasks), timeout=seconds)[0] if tasks else []
        news: list[Finished] = ray.get(self._queue.news.remote())
        self._wanted -= {outcome.run.name for outcome in news}
        self._ends = 0 if news else self._ends
        self._look_after_groups(ended)
        return news

    def _laid_out(self, runs: Sequence[Run]) -> list[Group]:
        room = self._room or Room()
        return layout(
            self._resources, room, lambda: workers_on_a_gpu(self._store, self._resources, runs)
        )

    def _start(self, runs: int) -> None:
        """Start the groups that are not up, no more than there is work for."""
        # with a room of its own more work comes later, and a group does not grow
        is_whole = self._resources.data_parallel > 1 or self._room is not None
        taken = [place for place, _ in self._groups.values()]
        for place, group in self._layout.items():
            if runs <= 0 or place in taken:
                continue
            workers = group.workers if is_whole else min(group.workers, runs)
            runs -= 1 if self._resources.data_parallel > 1 else workers
            self._number += 1
            self._groups[self._number] = (place, self._keep_up(group._replace(workers=workers)))

    def _keep_up(self, group: Group) -> Reference:
        duty = GroupSpec(
            queue=self._queue,
            store=self._store,
            group=self._number,
            threads=math.ceil(self._resources.fleet_cpus),
            uses_gpu=bool(group.needs.get("GPU")),
            trains_together=self._resources.data_parallel > 1,
            is_compiled=self._resources.compile_models,
            keeps_models=self._resources.keep_models,
        )
        # fit runs in a task: on this thread it would take Ctrl-C for itself, and on another one
        # the process can die inside Ray when it is interrupted
        return task_at_home(_fit).remote(group, duty, self._storage)

    def _look_after_groups(self, ended: Sequence[Reference]) -> None:
        """Take back what groups were at that are no more, and start others in their place."""
        alive = alive_nodes()
        cause: BaseException | None = None
        for number, (place, task) in list(self._groups.items()):
            node = self._layout[place].node
            if task in ended:
                try:
                    ray.get(task)
                except ray.exceptions.RayError as error:
                    cause = getattr(error, "cause", None) or error
            elif node not in alive:
                ray.cancel(task, force=True)
                cause = TrainingError(f"the node {node} is gone")
            else:
                continue
            del self._groups[number]
            ray.get(self._queue.release.remote(number))
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
        fits = {name: fit for name, fit in Room().fits(needs).items() if name in joined}
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


def _fit(group: Group, duty: GroupSpec, storage: tuple[str, Any]) -> None:
    path, file_system = storage
    trainer, backend = _trainer(group, duty)
    needs = {name: amount for name, amount in group.needs.items() if amount}
    trainer(
        work,
        train_loop_config={"duty": duty},
        scaling_config=ScalingConfig(  # type: ignore[call-arg]  # its own of the second version
            num_workers=group.workers,
            use_gpu=duty.uses_gpu,
            resources_per_worker=needs,
            label_selector={"ray.io/node-id": group.node},
        ),
        **backend,
        run_config=RunConfig(
            name=f"fleet-{duty.group}",
            storage_path=path,
            storage_filesystem=file_system,
            failure_config=FailureConfig(max_failures=DEATHS),
        ),
    ).fit()


def _trainer(group: Group, duty: GroupSpec) -> tuple[Any, dict[str, Any]]:
    """Return Ray Train's class for the group, and what it is to be told about the backend."""
    if not duty.trains_together and not duty.uses_gpu:
        # these workers share no process group, and the controller, which they wait for, need not
        # load torch (2.6 s on a slow core); Ray calls the class a developer's
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        return DataParallelTrainer, {}
    from ray.train.torch import TorchConfig, TorchTrainer

    # NCCL wants a GPU for each worker
    talks_on_gpus = duty.trains_together and group.needs.get("GPU", 0) >= 1
    name = "nccl" if talks_on_gpus else "gloo"
    return TorchTrainer, {"torch_config": TorchConfig(backend=name, timeout_s=PATIENCE_S)}
