"""The executor ``here``: this one process, on one machine.

A service lives on a thread that runs an event loop, and tasks run on threads. Work that may hang
or crash, or that wants the cores for itself, has a process of its own (``engine.nodes.apart``).
"""

import asyncio
import contextlib
import importlib
import inspect
import itertools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Literal

from engine.nodes.desk import DESK
from engine.nodes.executor import Done, Needs, Reply, Service, Tasks
from engine.nodes.room import Room

NODE = "here"  # the id of the one node
WORKER = "textmill worker"  # the name of each thread that works
GPUS = Path("/proc/driver/nvidia/gpus")  # where NVIDIA's driver lists them


class Here:
    """This process as an executor."""

    name: Literal["here", "ray"] = "here"

    def room(self, spared_cpus: float = 0) -> Room:
        """Return what this machine has."""
        resources = {"CPU": float(cpus()), "GPU": float(gpus())}
        return Room([{"NodeID": NODE, "Alive": True, "Resources": resources}], spared_cpus)

    def nodes(self) -> set[str]:
        """Return the one node."""
        return {NODE}

    def service(self, kind: type, *args: object) -> Service:
        """Start a service on the event loop's thread."""
        return _HereService(kind(*args))

    def tasks(self, function: Callable[..., object], needs: Needs) -> Tasks:
        """Return tasks that run on threads, as many at a time as the machine has CPUs for."""
        return _HereTasks(function, needs)


HERE = Here()


def cpus() -> int:
    """Return how many CPUs this process may use, by its affinity and its container's quota."""
    from joblib import cpu_count  # here: it takes a moment to load

    return int(cpu_count())


def gpus() -> int:
    """Return how many NVIDIA GPUs this process may use, without a library that takes seconds."""
    devices = len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return devices
    return min(
        devices, len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    )


@contextlib.contextmanager
def computing_with(cpus: float) -> Iterator[None]:
    """Have the body compute with so many threads, rounded up, as a process of its own would.

    Which also makes its sums the same to the last bit, wherever they are computed.
    """
    threads = max(1, math.ceil(cpus))
    with contextlib.ExitStack() as stack:
        if "numpy" in sys.modules:
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(threads))
        if "torch" in sys.modules:
            torch = importlib.import_module("torch")  # which waits for whoever loads it just now
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        else:  # which the body may load: it takes its number of threads from there
            before = os.environ.get("OMP_NUM_THREADS")
            os.environ["OMP_NUM_THREADS"] = str(threads)
            stack.callback(_set_back, before)
        yield


def _set_back(threads: str | None) -> None:
    os.environ.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = threads


def start_thread(target: Callable[..., object], *args: object) -> threading.Thread:
    """Start a thread that works, and does not keep a command from ending."""
    thread = threading.Thread(target=target, args=args, daemon=True, name=WORKER)
    thread.start()
    return thread


def is_working() -> bool:
    """Say whether a thread still works, such as one whose study was interrupted."""
    return any(thread.name == WORKER for thread in threading.enumerate())


class _Loop:
    """An event loop on a thread of its own, which starts when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def send(self, answer: Any) -> "Future[Any]":  # noqa: ANN401 - a coroutine
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, daemon=True, name="services"
                ).start()
        return asyncio.run_coroutine_threadsafe(answer, self._loop)


_LOOP = _Loop()


class _HereService:
    """A service on the event loop's thread."""

    def __init__(self, served: object) -> None:
        self._served: object | None = served

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever the method returns
        return self.send(method, *args).result()

    def send(self, method: str, *args: object) -> Reply:
        return _LOOP.send(self._answer(method, args))

    def end(self) -> None:
        self._served = None

    async def _answer(self, method: str, args: tuple[object, ...]) -> Any:  # noqa: ANN401 - as above
        answer = getattr(self._served, method)(*args)
        return await answer if inspect.isawaitable(answer) else answer

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as what calls this service from another process."""
        return DESK.pickled(self)


class _HereTasks:
    """Tasks that run on threads.

    Those of the standard library's pools would have a command that is interrupted wait for them.
    """

    def __init__(self, function: Callable[..., object], needs: Needs) -> None:
        self._function, self._needs = function, needs
        self._numbers = itertools.count()
        self._room: threading.Semaphore | None = None
        self._busy: dict[Future[object], int] = {}

    def begin(self, *args: object) -> int:
        if self._room is None:
            self._room = threading.Semaphore(max(1, int(cpus() / max(self._needs.cpus, 1))))
        future: Future[object] = Future()
        ticket = self._busy[future] = next(self._numbers)
        start_thread(self._do, self._room, future, args)
        return ticket

    def finished(self, seconds: float | None) -> list[Done]:
        if not self._busy:
            return []
        ready, _ = wait(self._busy, seconds, FIRST_COMPLETED)
        done = []
        for future in sorted(ready, key=self._busy.__getitem__):
            error = future.exception()
            value = None if error else future.result()
            done.append(Done(self._busy.pop(future), value, error))
        return done

    def _do(
        self, room: threading.Semaphore, future: "Future[object]", args: tuple[object, ...]
    ) -> None:
        with room:
            try:
                future.set_result(self._called(*args))
            except BaseException as error:  # noqa: BLE001 - whoever waits for it judges it
                future.set_exception(error)

    def _called(self, *args: object) -> object:
        if self._needs.cpus < 1:  # which computes next to nothing, beside others that do
            return self._function(*args)
        with computing_with(self._needs.cpus):
            return self._function(*args)
