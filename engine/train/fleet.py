"""Train many classifiers: one group of warm Ray Train workers, all pulling runs from one queue.

A worker group per run would cost 5 to 11 seconds of process start each. The queue is only a
convenience: what is pending is derived from the store, and a run that is there is not made again.
"""

import contextlib
import logging
import math
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.errors import DamagedError, TrainingError
from engine.session import Room
from engine.store import Store
from engine.study.config import Resources
from engine.train.run import Run
from engine.train.trainer import RunFailedError, trainer_class

POLL_S = 0.5
LARGEST_GROUP = 8  # workers; a death restarts its whole group


class Finished(NamedTuple):
    """What became of a run; ``failure`` is None if its file is there."""

    run: Run
    seconds: float
    failure: str | None


class RunQueue:
    """Hands out runs, and takes back those whose worker died; an actor without a CPU.

    A death takes a whole group with it, so each run that was being trained is a suspect. A suspect
    is tried again by itself: if its worker dies again, it is the one to blame.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._waiting = list(runs)
        self._suspects: list[Run] = []
        self._held: dict[int, Run] = {}
        self._tried_alone: set[str] = set()
        self._finished: list[Finished] = []

    def start(self, rank: int) -> None:
        """Take back what a worker's predecessor of the same rank was doing when it died."""
        run = self._held.pop(rank, None)
        if run is None:
            return
        if run.name in self._tried_alone:
            reason = "its worker died twice; it may need more memory than there is"
            self._finished.append(Finished(run, 0.0, reason))
        else:
            self._suspects.append(run)

    def take(self, rank: int) -> Run | Literal["wait", "end"]:
        """Hand out the next run; "wait" while others must end first, "end" when all are done."""
        if self._waiting:
            self._held[rank] = self._waiting.pop(0)
            return self._held[rank]
        if self._suspects and not self._held:
            self._held[rank] = self._suspects.pop(0)
            self._tried_alone.add(self._held[rank].name)
            return self._held[rank]
        return "wait" if self._suspects else "end"

    def finish(self, rank: int, seconds: float, failure: str | None) -> None:
        """Hear what became of the run that a worker was given."""
        self._finished.append(Finished(self._held.pop(rank), seconds, failure))

    def news(self) -> list[Finished]:
        """Return what has finished since the last call."""
        news, self._finished = self._finished, []
        return news


def train_fleet(
    runs: Sequence[Run], store: Store, where: Resources, finished: Callable[[Finished], None]
) -> None:
    """Train every run.

    Args:
        runs: What to train.
        store: Where rows are read and runs committed.
        where: Workers, and CPUs and GPUs of each.
        finished: Told of each run that is there or failed.
    """
    import ray

    workers, gpus = _size(len(runs), where)
    longest_first = sorted(runs, key=_length, reverse=True)
    queue: Any = ray.remote(num_cpus=0)(RunQueue).remote(longest_first)
    with _storage(store) as storage:
        # fit runs in a task: on this thread it would take Ctrl-C for itself, and on another one
        # the process can die inside Ray when it is interrupted
        task = ray.remote(num_cpus=0, max_retries=0)(_fit)
        threads = math.ceil(where.fleet_cpus)
        loop_config = {"queue": queue, "store": store, "threads": threads}
        resources = {"CPU": where.fleet_cpus, **({"GPU": gpus} if gpus else {})}
        fit = task.remote(workers, resources, 2 * len(runs), loop_config, storage)
        try:
            is_on = True
            while is_on:
                is_on = not ray.wait([fit], timeout=POLL_S)[0]
                for news in ray.get(queue.news.remote()):
                    finished(news)
            ray.get(fit)
        except ray.exceptions.RayTaskError as error:
            raise TrainingError(f"The training fleet ended early: {error.cause}") from error
    ray.kill(queue)


def _length(run: Run) -> int:
    """Return the rows that a run trains on, one after the other; 0 if it takes no steps."""
    takes_steps = "steps" in trainer_class(run.config.trainer).reads
    return run.config.steps * run.config.batch_size if takes_steps else 0


def _fit(
    workers: int,
    resources: dict[str, float],
    deaths: int,
    loop_config: dict[str, Any],
    storage: Path,
) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    TorchTrainer(
        work,
        train_loop_config=loop_config,
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu="GPU" in resources, resources_per_worker=resources
        ),
        torch_config=TorchConfig(backend="gloo"),  # the workers exchange nothing
        run_config=RunConfig(
            name="fleet",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=deaths),  # each run may kill two groups
        ),
    ).fit()


def check_fleet(where: Resources) -> None:
    """Make sure that one worker fits the cluster, before anything is made.

    Raises:
        ConfigError: It does not.
    """
    _size(1, where)


def _size(runs: int, where: Resources) -> tuple[int, float]:
    """Return how many workers to start, and the GPUs of each."""
    import ray

    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = where.fleet_gpus if where.fleet_gpus is not None else float(have.get("GPU", 0) > 0)
    needs = {"CPU": where.fleet_cpus, "GPU": gpus}
    fit = Room().fit(needs, "resources.fleet_cpus and fleet_gpus")
    return min(where.fleet or LARGEST_GROUP, fit, runs), gpus


def work(config: dict[str, Any]) -> None:
    """Do runs until the queue is empty: what each worker of the group executes."""
    import ray
    import ray.train
    import torch
    import transformers

    from engine.train.workbench import Workbench

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # of the new head
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(config["threads"])
    rank = ray.train.get_context().get_world_rank()
    queue, store = config["queue"], config["store"]
    bench = Workbench(store)
    ray.get(queue.start.remote(rank))
    while (run := ray.get(queue.take.remote(rank))) != "end":
        if run == "wait":
            time.sleep(POLL_S)
            continue
        seconds, failure = _attempt(bench, store, run)
        ray.get(queue.finish.remote(rank, seconds, failure))


def _attempt(bench: Any, store: Store, run: Run) -> tuple[float, str | None]:  # noqa: ANN401 - needs torch
    if store.has(run.name):  # another command was quicker
        return 0.0, None
    try:
        return bench.do(run), None
    except (RunFailedError, DamagedError) as error:
        return 0.0, str(error)
    except Exception as error:
        logging.getLogger(__name__).exception("run %s failed", run.name)
        return 0.0, f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _storage(store: Store) -> Iterator[Path]:
    """Lend Ray Train a folder that every node sees; textmill keeps nothing there."""
    folder = store.root / f".train-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
