"""Groups of Ray Train's workers."""

import contextlib
from collections.abc import Mapping
from typing import Any, Self

import ray
import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig

from engine.nodes.on_ray import Reference, task_at_home
from engine.store.store import Store
from engine.train.crew import DEATHS
from engine.train.placement import Group
from engine.train.worker import GroupSpec, work

PATIENCE_S = 7 * 24 * 3600  # that workers which train together wait for each other


class RayCrew(contextlib.ExitStack):
    """Keeps groups of Ray Train's workers up.

    Args:
        store: The root, under which Ray Train has its files.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._tasks: dict[Reference, int] = {}

    def __enter__(self) -> Self:
        self._storage = self.enter_context(self._store.scratch())
        return self

    def start(self, group: Group, duty: GroupSpec) -> None:
        """Start a group."""
        # fit runs in a task: on this thread it would take Ctrl-C for itself, and on another one
        # the process can die inside Ray when it is interrupted
        fitting = task_at_home(_fit).remote(group, duty, self._storage)
        self._tasks[fitting] = duty.group

    def ended(self, seconds: float) -> Mapping[int, BaseException | None]:
        """Return which groups ended since the last time, and what of if too early."""
        if not self._tasks:
            return {}
        tasks = list(self._tasks)
        done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=seconds)
        return {self._tasks.pop(task): _error(task) for task in done}

    def give_up(self, number: int) -> None:
        """End a group whose node is gone."""
        for task in [task for task, group in self._tasks.items() if group == number]:
            ray.cancel(task, force=True)
            del self._tasks[task]

    def wait(self) -> None:
        """Wait until all have ended."""
        if self._tasks:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.wait(list(self._tasks), num_returns=len(self._tasks))


def _error(task: Reference) -> BaseException | None:
    try:
        ray.get(task)
    except ray.exceptions.RayError as error:
        return getattr(error, "cause", None) or error
    return None


def _work(config: dict[str, GroupSpec]) -> None:
    place = ray.train.get_context()
    work(config["duty"], place.get_world_rank(), place.get_world_size())


def _fit(group: Group, duty: GroupSpec, storage: tuple[str, Any]) -> None:
    path, file_system = storage
    trainer, backend = _trainer(group, duty)
    needs = {name: amount for name, amount in group.needs.items() if amount}
    trainer(
        _work,
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
