"""The actor around one engine."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from typing import Any, NoReturn

from engine.errors import EngineLostError, InputError, UnwritableError
from engine.generate.calls import Pools, segment_ref
from engine.generate.engine import engine_class
from engine.generate.events import Lost, Made, Refused, SegmentRef, Started
from engine.generate.filling import CallBuffer, Stopwatch
from engine.generate.halving import HalvingEngine
from engine.generate.passes import Pass
from engine.nodes.executor import Reply

REPLACED = 1  # exit status of a process in whose place another is to be started


def _end_process() -> NoReturn:
    os._exit(REPLACED)


class EngineActor:
    """One engine per actor: started once, then fed calls; commits each segment as it fills.

    The engine starts in the background, while prompts are worded. One that dies, or gives no sign
    of life, takes the process with it, since nothing else frees its memory for sure: another is
    started in its place, and asked the same calls; what was committed meanwhile is not asked again.

    Args:
        task: The pass that it is part of.
        replica: Its name.
        leave: What ends it when it is to be replaced; it does not return.
    """

    def __init__(
        self, task: Pass, replica: str, leave: Callable[[], NoReturn] = _end_process
    ) -> None:
        self._task = task
        self._room = threading.Semaphore(task.calls_in_flight)
        self._client, self._pools, self._setup = (
            task.client,
            Pools(task.client, task.pools),
            task.setup,
        )
        self._replica, self._leave = replica, leave
        self._engine: Future[HalvingEngine | None] = Future()
        self._dying = threading.Lock()
        self._is_lost = self._is_closed = False
        self._clock = Stopwatch()
        threading.Thread(target=self._start, daemon=True).start()

    def answer(self, parts: list[dict[str, Any]]) -> None:
        """Answer a call: its segments, as ``calls.PART`` has them."""
        if unmade := self._unmade(parts):
            self._client.call("sit_out", unmade)

    def _unmade(self, parts: list[dict[str, Any]]) -> list[SegmentRef]:
        """Answer a call; return its segments if they cannot be made here."""
        with self._room:
            still = set(self._client.call("take", [segment_ref(part) for part in parts]))
            parts = [part for part in parts if segment_ref(part) in still]
            engine = self._ready_engine()
            with self._clock.working():
                if parts and (engine is None or not self._answer(engine, parts)):
                    return [segment_ref(part) for part in parts]
        return []

    def _ready_engine(self) -> HalvingEngine | None:
        patience_s = self._setup.resources.patience_s
        try:
            return self._engine.result(patience_s)
        except OutOfTime:
            if self._engine.done():  # an error of that name which the engine's start raised
                raise
            self._replace(f"it did not start within {patience_s:g} s")
            raise

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the ledger, or Ray itself, may be gone
            self.close()

    def close(self) -> None:
        """Let go of the engine."""
        if not self._is_closed and not self._is_lost:
            self._is_closed = True
            self._client.send("leave", self._replica)
            is_up = self._engine.done() and not self._engine.exception()
            if is_up and (engine := self._engine.result()):
                engine.close()

    def _start(self) -> None:
        try:
            self._engine.set_result(self._started())
        except BaseException as error:  # noqa: BLE001 - a bug, or what leaves: the calls raise it
            self._engine.set_exception(error)

    def _started(self) -> HalvingEngine | None:
        """Start the engine; return None where it is not to work."""
        began = time.monotonic()
        group, replica = self._client.group, self._replica
        try:
            if not self._client.call("start", replica):
                return None
            engine = HalvingEngine(engine_class(self._setup.config.engine)(self._setup))
        except EngineLostError as loss:
            if not loss.is_for_good:
                self._replace(str(loss))
            self._client.call("give_up", str(loss))
            return None
        except InputError as error:
            self._refuse(error)
            return None
        self._client.tell(Started(group, replica, time.monotonic() - began))
        self._clock.started(time.monotonic() - began)
        return engine

    def _refuse(self, error: InputError | UnwritableError) -> None:
        self._client.tell(Refused(self._client.group, error)).result()

    def _answer(self, engine: HalvingEngine, parts: list[dict[str, Any]]) -> bool:
        """Answer one call; False if the engine refuses it."""
        filling = CallBuffer(self._setup, self._pools, parts, self._clock)
        reports = [self._tell(part, {"was_there": True}) for part in filling.committed]
        try:
            for completion in engine.complete(filling.prompts()):
                if done := filling.add(completion):
                    reports.append(self._tell(*done))
            filling.check_complete()
        except EngineLostError as loss:
            if loss.is_for_good:
                self._client.call("give_up", str(loss))
                return False
            self._replace(str(loss))
        except (InputError, UnwritableError) as error:
            self._refuse(error)
            return False
        for report in reports:  # one that dies with this process would be waited for
            report.result()
        return True

    def _tell(self, part: SegmentRef, counts: dict[str, Any]) -> Reply:
        return self._client.tell(Made(self._client.group, self._replica, part, **counts))

    def _replace(self, cause: str) -> NoReturn:
        """End this actor; another is started in its place."""
        with self._dying:  # the first thread's word is the last
            if not self._is_lost:
                self._is_lost = True
                self._client.tell(Lost(self._client.group, self._replica, cause)).result()
            self._leave()
