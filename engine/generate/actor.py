"""The actor around one engine."""

import contextlib
import os
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from typing import Any

import pyarrow as pa
import ray

from engine.errors import EngineLostError, InputError, UnwritableError
from engine.generate.calls import LedgerClient, Pools, segment_ref
from engine.generate.engine import Setup, engine_class
from engine.generate.events import Lost, Made, Refused, SegmentRef, Started
from engine.generate.filling import CallBuffer, Stopwatch
from engine.generate.halving import HalvingEngine
from engine.nodes.actors import Reference
from engine.steps.pool import Pool

REPLACED = 1  # exit status of an actor that Ray is to start again


class EngineActor:
    """One engine per actor: started once, then fed calls; commits each segment as it fills.

    The engine starts in the background, while prompts are worded. One that dies, or gives no sign
    of life, takes the process with it, since nothing else frees its memory for sure: Ray starts
    another in its place, and asks it the same calls; what was committed meanwhile is not asked
    again.
    """

    def __init__(
        self, client: LedgerClient, pools: dict[str, Pool], setup: Setup, calls_at_a_time: int
    ) -> None:
        self._room = threading.Semaphore(calls_at_a_time)

        self._client, self._pools, self._setup = client, Pools(client, pools), setup
        self._replica = str(ray.get_runtime_context().get_actor_id())
        self._engine: Future[HalvingEngine | None] = Future()
        self._dying = threading.Lock()
        self._clock = Stopwatch()
        threading.Thread(target=self._start, daemon=True).start()

    def __call__(self, calls: pa.Table) -> pa.Table:
        """Answer calls; the table returned says only how many there were."""
        for call in calls.to_pylist():
            if unmade := self._work(call["parts"]):
                self._client.call("sit_out", unmade)
        return pa.table({"calls": [calls.num_rows]})

    def _work(self, parts: list[dict[str, Any]]) -> list[SegmentRef]:
        """Answer one call; return its segments if they cannot be made here."""
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
            self._client.send("leave", self._replica)
        is_up = self._engine.done() and not self._engine.exception()
        if is_up and (engine := self._engine.result()):
            engine.close()

    def _start(self) -> None:
        began = time.monotonic()
        group, replica = self._client.group, self._replica
        try:
            engine = None
            if self._client.call("start", replica):
                engine = HalvingEngine(engine_class(self._setup.config.engine)(self._setup))
                self._client.tell(Started(group, replica, time.monotonic() - began))
                self._clock.started(time.monotonic() - began)
        except EngineLostError as loss:
            if not loss.is_for_good:
                self._replace(str(loss))
            self._client.call("give_up", str(loss))
        except InputError as error:
            self._refuse(error)
        except BaseException as error:  # a bug: the calls raise it, where Ray passes it on
            self._engine.set_exception(error)
            raise
        self._engine.set_result(engine)

    def _refuse(self, error: InputError | UnwritableError) -> None:
        ray.get(self._client.tell(Refused(self._client.group, error)))

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
        ray.get(reports)  # a report that dies with this process would be waited for
        return True

    def _tell(self, part: SegmentRef, counts: dict[str, Any]) -> Reference:
        return self._client.tell(Made(self._client.group, self._replica, part, **counts))

    def _replace(self, cause: str) -> None:
        """End this process; Ray starts another in its place."""
        with self._dying:  # never released: the first thread's word is the last
            ray.get(self._client.tell(Lost(self._client.group, self._replica, cause)))
            os._exit(REPLACED)
