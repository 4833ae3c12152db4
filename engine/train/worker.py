"""What each worker of a group executes: runs from the queue, until there are no more."""

import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import ray
import ray.train

from engine.errors import DamagedError, NoMemoryError, RunFailedError, UnwritableError
from engine.nodes.actors import Actor
from engine.store.store import Store
from engine.train.queue import Assignment, Outcome, Worker
from engine.train.run_worker import RunWorker
from engine.train.trainer import Hardware
from engine.train.world import World

POLL_S = 0.2
DIED = 1  # exit status of a worker whose group is to start anew


@dataclass(frozen=True)
class GroupSpec:
    """What a group is there for.

    Attributes:
        queue: The handle of the RunQueue actor.
        store: The root.
        group: The group's number.
        threads: Threads of each worker.
        uses_gpu: Whether workers have GPUs.
        trains_together: Whether all of the group train each run together.
        is_compiled: Whether classifiers are compiled first.
        keeps_models: Whether trained classifiers are kept.
    """

    queue: Actor
    store: Store
    group: int
    threads: int
    uses_gpu: bool
    trains_together: bool
    is_compiled: bool
    keeps_models: bool


def work(config: dict[str, GroupSpec]) -> None:
    """Do runs until the queue says that there will be no more."""
    # transformers would tell of the new head; whether it is loaded at all is up to the trainer
    os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    duty = config["duty"]
    context = ray.train.get_context()
    rank = context.get_world_rank()
    world = World(rank, context.get_world_size()) if duty.trains_together else World()
    me = Worker(duty.group, 0 if duty.trains_together else rank)
    device = _device(duty)
    bench = RunWorker(duty.store)

    def take(done: Outcome | None) -> Any:  # noqa: ANN401 - as the queue's
        while True:
            given = ray.get(duty.queue.take.remote(me, done))
            if isinstance(given, str) or not duty.store.has(given.run.name):
                return given
            done = Outcome(0.0)  # another command was quicker

    done: Outcome | None = None
    if world.rank == 0:
        ray.get(duty.queue.join.remote(me))
    while True:
        given: Any = world.hear(take(done) if world.rank == 0 else None)
        done = None
        if given == "end":
            return
        if given == "wait":
            time.sleep(POLL_S)
            continue
        done = _attempt(bench, duty, me, given, device, world)


def _device(duty: GroupSpec) -> str:
    """Set up this process to compute; return where, as torch names it."""
    os.environ["OMP_NUM_THREADS"] = str(duty.threads)  # which torch obeys when it is loaded
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(duty.threads)
    if not duty.uses_gpu:
        return "cpu"
    import torch
    from ray.train.torch import get_device

    device = get_device()
    torch.cuda.set_device(device)
    return str(device)


def _attempt(  # noqa: PLR0913 - an attempt has these parts
    bench: RunWorker,
    duty: GroupSpec,
    me: Worker,
    given: Assignment,
    device: str,
    world: World,
) -> Outcome:
    how = Hardware(device, given.micro_batch, duty.is_compiled, world)
    try:
        return Outcome(bench.do(given.run, how, keeps_model=duty.keeps_models))
    except NoMemoryError as error:
        outcome = Outcome(0.0, str(error), wants_memory=True)
    except RunFailedError as error:  # such as a loss that is no number: all workers see the same
        return Outcome(0.0, str(error))
    except DamagedError as error:
        outcome = Outcome(0.0, str(error))
    except UnwritableError as error:
        outcome = Outcome(0.0, str(error), is_unwritable=True)
    except Exception as error:
        logging.getLogger(__name__).exception("run %s failed", given.run.name)
        outcome = Outcome(0.0, f"{type(error).__name__}: {error}")
    # out here the error holds the run's tensors no more
    if world.size > 1 or not _works(device):
        _leave(duty, me, outcome)
    return outcome


def _works(device: str) -> bool:
    """Give a GPU's memory back; False if it fails this process for good, as after some errors."""
    if device == "cpu":
        return True
    import torch

    try:
        torch.cuda.empty_cache()
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def _leave(duty: GroupSpec, me: Worker, outcome: Outcome) -> None:
    """End the group, which starts anew: others may wait for this worker's part of a sum."""
    ray.get(duty.queue.finish.remote(me, outcome))
    os._exit(DIED)
