"""A pass in this process: threads that take calls from the ledger, word them, and ask an engine.

An engine that may hang or crash, as ``runs_apart`` says, has a process of its own, which takes its
calls from here and commits its rows itself.
"""

import asyncio
import math
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NoReturn

from engine.errors import EngineLostError
from engine.generate.actor import EngineActor
from engine.generate.calls import LedgerClient, Wording
from engine.generate.engine import engine_class
from engine.generate.events import SegmentRef
from engine.generate.halving import HalvingEngine
from engine.generate.passes import AHEAD, Pass
from engine.nodes.apart import Apart
from engine.nodes.executor import Service
from engine.nodes.here import HERE, start_thread

STILLBORN = 3  # processes in a row that end before they ask for work, until that is told

Source = Callable[[], Sequence[SegmentRef] | None]


class ReplicaLostError(Exception):
    """An engine of this process is to be built anew."""


def run_pass(task: Pass) -> None:
    """Answer calls until there are no more; errors as of ``passes.run_pass``."""
    number = task.client.call("begin")
    is_apart = getattr(engine_class(task.setup.config.engine), "runs_apart", False)
    replicas = [
        (_ReplicaApart if is_apart else _Replica)(task, number, f"{number}.{place}")
        for place in range(task.width)
    ]
    _all_of([replica.run for replica in replicas])


def _all_of(parts: Sequence[Callable[[], None]]) -> None:
    """Do all of these on threads, and raise the first error at once: others may wait for ever."""
    ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def do(part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            ends.put(error)
        else:
            ends.put(None)

    for part in parts:
        start_thread(do, part)
    for _ in parts:
        if error := ends.get():
            raise error


class _ThreadedActor(EngineActor):
    """An engine's actor among other work of its process."""

    def _answer(self, engine: HalvingEngine, parts: list[dict[str, Any]]) -> bool:
        if (torch := sys.modules.get("torch")) is not None:  # whose threads classifiers set, too
            torch.set_num_threads(math.ceil(self._task.needs["CPU"]))
        return super()._answer(engine, parts)


class _Replica:
    """An engine of this process."""

    def __init__(self, task: Pass, number: int, name: str) -> None:
        self._task, self._name = task, name
        self._source: Source = lambda: task.client.call("next", number)
        self._lock = threading.Lock()
        self._actor: EngineActor

    def run(self) -> None:
        """Answer calls until there are no more."""
        self._actor = self._new()
        _all_of([self._serve] * (self._task.calls_in_flight + AHEAD))
        self._actor.close()

    def _new(self) -> EngineActor:
        return _ThreadedActor(self._task, self._name, _renew)

    def _serve(self) -> None:
        while (parts := self._source()) is not None:
            # for each call anew: what a strategy has read of a view may have grown since
            wording = Wording(self._task.client, self._task.pools, self._task.setup.store)
            worded = wording.worded(parts)
            while not self._is_answered(worded):
                pass

    def _is_answered(self, worded: list[dict[str, Any]]) -> bool:
        actor = self._actor
        try:
            actor.answer(worded)
        except ReplicaLostError:
            with self._lock:
                if self._actor is actor:  # the first of its calls that sees it
                    self._actor = self._new()
            return False
        return True


def _renew() -> NoReturn:
    raise ReplicaLostError


class _ReplicaApart:
    """An engine in a process of its own, which is started again when it dies."""

    def __init__(self, task: Pass, number: int, name: str) -> None:
        self._task, self._name = task, name
        self._number = number

    def run(self) -> None:
        """Keep it up until there are no more calls.

        Raises:
            EngineLostError: Its process ends before it asks for any.
        """
        deaths = 0
        while True:
            feed = HERE.service(_Feed, self._task.client, self._number)
            threads = int(self._task.needs["CPU"])
            process = Apart(_serve_apart, self._task, self._name, feed, threads=max(1, threads))
            why = process.wait()
            deaths = 0 if feed.call("give_back") else deaths + 1
            if not why:
                return
            if deaths >= STILLBORN:
                raise EngineLostError(why)


class _Feed:
    """Hands calls on to a process, and takes back what that has not done when it ends."""

    def __init__(self, client: LedgerClient, number: int) -> None:
        self._client, self._number = client, number
        self._taken: list[SegmentRef] = []
        self._is_over = False

    async def next(self) -> Sequence[SegmentRef] | None:
        """Return the next call's segments; None when the pass is to end."""
        reply = self._client.send("next", self._number)
        assert isinstance(reply, Future)
        parts: Sequence[SegmentRef] | None = await asyncio.wrap_future(reply)
        self._taken += parts or ()
        if self._is_over and parts:  # it died while it waited
            await self._put_back(parts)
            return None
        return parts

    async def give_back(self) -> bool:
        """Put back what is not made; return whether anything was ever asked for."""
        self._is_over = True
        await self._put_back(self._taken)
        return bool(self._taken)

    async def _put_back(self, parts: Sequence[SegmentRef]) -> None:
        reply = self._client.send("put_back", parts)
        assert isinstance(reply, Future)
        await asyncio.wrap_future(reply)


class _Serving(_Replica):
    """The engine, in its own process."""

    def __init__(self, task: Pass, name: str, feed: Service) -> None:
        super().__init__(task, 0, name)
        self._source = lambda: feed.call("next")

    def _new(self) -> EngineActor:
        return EngineActor(self._task, self._name)


def _serve_apart(task: Pass, name: str, feed: Service) -> None:
    _Serving(task, name, feed).run()
