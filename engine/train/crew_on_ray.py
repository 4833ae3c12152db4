"""Groups of Ray Train's workers.

A worker that is all of its group is a task that trains in Ray Train's local mode: a group would
take four processes more, each of which costs one to three seconds of a core, to look after it. What
they do is Ray's to do for a task, too: it starts one anew whose process died.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import ray

from engine.nodes.on_ray import Reference, Remote, task, task_at_home
from engine.nodes.room import OWN
from engine.store.store import Store
from engine.train.crew import DEATHS
from engine.train.placement import Group
from engine.train.worker import GroupSpec, work

PATIENCE_S = 7 * 24 * 3600  # that workers which train together wait for each other
# of Ray Train's, an actor each: our workers read no datasets, and Ray itself lets go of a placement
# group when the controller that made it dies
SPARED = frozenset({"DatasetsCallback", "PlacementGroupCleanerCallback"})
WORKER = "RayTrainWorker"  # as Ray Train calls the processes of its workers


class RayCrew(contextlib.ExitStack):
    """Keeps groups of Ray Train's workers up.

    Args:
        store: The root, under which Ray Train has its files.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._storage: tuple[str, Any] | None = None
        self._tasks: dict[Reference, int] = {}

    def start(self, group: Group, duty: GroupSpec) -> None:
        """Start a group."""
        self._tasks[self._begun(group, duty)] = duty.group

    def _begun(self, group: Group, duty: GroupSpec) -> Reference:
        if group.workers == 1:
            return _worker(group).remote(duty)
        self._storage = self._storage or self.enter_context(self._store.scratch())
        # fit runs in a task: on this thread it would take Ctrl-C for itself, and on another one
        # the process can die inside Ray when it is interrupted
        return task_at_home(_fit, max_calls=1).remote(group, duty, self._storage)

    def ended(self, seconds: float) -> Mapping[int, BaseException | None]:
        """Return which groups ended since the last time, and what of if too early."""
        if not self._tasks:
            return {}
        tasks = list(self._tasks)
        done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=seconds)
        return {self._tasks.pop(fitting): _error(fitting) for fitting in done}

    def give_up(self, number: int) -> None:
        """End a group whose node is gone."""
        for fitting in [key for key, group in self._tasks.items() if group == number]:
            ray.cancel(fitting, force=True)
            del self._tasks[fitting]

    def wait(self) -> None:
        """Wait until all have ended."""
        if self._tasks:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.wait(list(self._tasks), num_returns=len(self._tasks))


def _error(fitting: Reference) -> BaseException | None:
    try:
        ray.get(fitting)
    except ray.exceptions.RayError as error:
        return getattr(error, "cause", None) or error
    return None


def _worker(group: Group) -> Remote:
    """Return a worker by itself, as a task, which joins the queue again if its process dies."""
    return task(
        _fit_alone,
        name=WORKER,
        num_cpus=group.needs["CPU"],
        num_gpus=group.needs["GPU"],
        resources={name: amount for name, amount in group.needs.items() if name not in OWN},
        label_selector={"ray.io/node-id": group.node},
        max_retries=DEATHS,
        max_calls=1,  # what it has loaded goes with its process
    )


def _fit_alone(duty: GroupSpec) -> None:
    # each is loaded where it fits alone: the command, which only asks, need not wait for Ray Train
    from ray.train import RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    DataParallelTrainer(
        _work,
        train_loop_config={"duty": duty},
        scaling_config=ScalingConfig(num_workers=0),
        run_config=RunConfig(name=f"fleet-{duty.group}"),
    ).fit()


def _work(config: dict[str, GroupSpec]) -> None:
    import ray.train

    place = ray.train.get_context()
    work(config["duty"], place.get_world_rank(), place.get_world_size())


def _fit(group: Group, duty: GroupSpec, storage: tuple[str, Any]) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig

    path, file_system = storage
    trainer, backend = _trainer(group, duty)
    needs = {name: amount for name, amount in group.needs.items() if amount}
    with contextlib.ExitStack() as ends:
        _lean(trainer, ends)(
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
    if not duty.trains_together:
        # these workers share no process group, and the controller, which they wait for, need not
        # load torch (2.6 s on a slow core); Ray calls the class a developer's
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        return DataParallelTrainer, {}
    from ray.train.torch import TorchConfig, TorchTrainer

    # NCCL wants a GPU for each worker
    name = "nccl" if group.needs.get("GPU", 0) >= 1 else "gloo"
    return TorchTrainer, {"torch_config": TorchConfig(backend=name, timeout_s=PATIENCE_S)}


def _lean(trainer: type[Any], ends: contextlib.ExitStack) -> type[Any]:
    """Return a class of Ray Train's without the helpers that our workers need none of.

    Args:
        trainer: The class.
        ends: Ends its controller, whose process may hang when it is to end by itself.
    """

    class Lean(trainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            callbacks = super()._create_default_callbacks()
            return [each for each in callbacks if type(each).__name__ not in SPARED]

        def _register_sigint_handler(self, controller: Any) -> None:  # noqa: ANN401 - Ray's
            ends.callback(ray.kill, controller)  # an interrupt is the command's to answer

    return Lean
