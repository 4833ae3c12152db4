"""What each worker of a group executes: runs from the queue, until there are no more."""

import logging
import os
import sys
import time
from dataclasses import dataclass

from engine.errors import DamagedError, NoMemoryError, RunFailedError, UnwritableError
from engine.nodes.environment import set_up
from engine.nodes.executor import Service
from engine.nodes.here import computing_with
from engine.store.store import Store
from engine.train.queue import Assignment, NoRun, Outcome, Worker
from engine.train.run_worker import RunWorker
from engine.train.trainer import Hardware
from engine.train.world import World

POLL_S = 0.2
DIED = 1  # exit status of a worker whose group is to start anew


class WorkerLostError(Exception):
    """A worker without a process of its own is to start anew."""


@dataclass(frozen=True)
class GroupSpec:
    """What a group is there for.

    Attributes:
        queue: The RunQueue.
        store: The root.
        group: The group's number.
        threads: Threads of each worker.
        uses_gpu: Whether workers have GPUs.
        trains_together: Whether all of the group train each run together.
        is_compiled: Whether classifiers are compiled first.
        keeps_models: Whether trained classifiers are kept.
    """

    queue: Service
    store: Store
    group: int
    threads: int
    uses_gpu: bool
    trains_together: bool
    is_compiled: bool
    keeps_models: bool


@dataclass(frozen=True)
class _Context:
    """What a worker works with, from one run to the next.

    Attributes:
        duty: What its group is there for.
        me: Who asks the queue.
        device: Where it computes, as torch names it.
        world: Its place among those that train a run together.
        runs: What trains, and keeps what the next run can use.
        has_process: Whether its process is its alone.
    """

    duty: GroupSpec
    me: Worker
    device: str
    world: World
    runs: RunWorker
    has_process: bool


def work(duty: GroupSpec, rank: int, size: int, *, has_process: bool = True) -> None:
    """Do runs until the queue says that there will be no more.

    Args:
        duty: What the group is there for.
        rank: The worker's number in its group, from 0.
        size: How many workers the group has.
        has_process: Whether this process is the worker's alone.

    Raises:
        WorkerLostError: It must start anew, and its process is not its alone.
    """
    set_up()  # for transformers, which a trainer may load
    if has_process:
        os.environ["OMP_NUM_THREADS"] = str(duty.threads)  # which libraries obey as they are loaded
    with computing_with(duty.threads):
        _work(duty, rank, size, has_process=has_process)


def _work(duty: GroupSpec, rank: int, size: int, *, has_process: bool) -> None:
    world = _world(rank, size) if duty.trains_together else World()
    me = Worker(duty.group, 0 if duty.trains_together else rank)
    context = _Context(duty, me, _device(duty), world, RunWorker(duty.store), has_process)
    is_first = context.world.rank == 0
    done: Outcome | None = None
    if is_first:
        context.duty.queue.call("join", context.me)
    while True:
        # only the first asks the queue: those that train together must all do the same run
        answer = context.world.hear(_next(context, done) if is_first else None)
        done = None
        if answer is NoRun.END:
            return
        if isinstance(answer, Assignment):
            done = _attempt(context, answer)
        else:
            time.sleep(POLL_S)


def _world(rank: int, size: int) -> World:
    if size == 1:
        return World()
    # here: a worker that trains alone leaves torch to its trainer
    from engine.train.process_group import ProcessGroup

    return ProcessGroup(rank, size)


def _next(context: _Context, done: Outcome | None) -> Assignment | NoRun:
    """Tell the queue what became of the last run, and return what it hands out next."""
    while True:
        answer: Assignment | NoRun = context.duty.queue.call("take", context.me, done)
        if isinstance(answer, NoRun) or not context.duty.store.has(answer.run.name):
            return answer
        done = Outcome(0.0)  # another command was quicker


def _device(duty: GroupSpec) -> str:
    """Set up this worker to compute; return where, as torch names it."""
    if not duty.uses_gpu:
        return "cpu"
    import torch

    device = "cuda"
    if "ray" in sys.modules:  # which gives each worker a GPU, or a part of one
        from ray.train.torch import get_device

        device = str(get_device())
    torch.cuda.set_device(device)
    return device


def _attempt(context: _Context, assignment: Assignment) -> Outcome:
    duty, run = context.duty, assignment.run
    how = Hardware(context.device, assignment.micro_batch, duty.is_compiled, context.world)
    try:
        return Outcome(context.runs.do(run, how, keeps_model=duty.keeps_models))
    except NoMemoryError as error:
        outcome = Outcome(0.0, str(error), wants_memory=True)
    except RunFailedError as error:  # such as a loss that is no number: all workers see the same
        return Outcome(0.0, str(error))
    except DamagedError as error:
        outcome = Outcome(0.0, str(error))
    except UnwritableError as error:
        outcome = Outcome(0.0, str(error), is_unwritable=True)
    except Exception as error:
        logging.getLogger(__name__).exception("run %s failed", run.name)
        outcome = Outcome(0.0, f"{type(error).__name__}: {error}")
    # out here the error holds the run's tensors no more
    if context.world.size > 1 or not _works(context.device):
        _leave(context, outcome)
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


def _leave(context: _Context, outcome: Outcome) -> None:
    """End the group, which starts anew: others may wait for this worker's part of a sum."""
    context.duty.queue.call("finish", context.me, outcome)
    if not context.has_process:
        raise WorkerLostError
    os._exit(DIED)
