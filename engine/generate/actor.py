"""What runs in a pass: its source, the wording of prompts, and the actor around an engine.

A row of the dataset is a call: whole segments, and then their prompts. (As one nested row it passes
through Ray Data whole, however small blocks are.)
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.errors import EngineLostError, InputError, UnwritableError
from engine.fingerprint import Plain, canonical
from engine.generate.asking import Asking
from engine.generate.engine import Completion, Prompt, Setup, engine_class
from engine.generate.ledger import Event, Lost, Made, Part, Refused, Started
from engine.generate.pool import Pool
from engine.schema import POOL, RowId, storable
from engine.seal import seal_table
from engine.segments import Segment
from engine.store import Store

PART = pa.struct(
    [
        ("pool", pa.string()),
        ("slot", pa.string()),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("prompts", pa.list_(pa.string())),
        ("attributes", pa.list_(pa.string())),
    ]
)
CALL = pa.schema([("parts", pa.list_(PART))])
REPLACED = 1  # exit status of an actor that Ray is to start again


@dataclass(frozen=True)
class Desk:
    """A group's place at the ledger.

    Attributes:
        ledger: The handle of the Ledger actor.
        group: The group.
    """

    ledger: Any
    group: str

    def call(self, method: str, *args: Any) -> Any:  # noqa: ANN401 - whatever the method returns
        """Call a method of the ledger and wait for its answer."""
        import ray

        return ray.get(self.send(method, *args))

    def send(self, method: str, *args: Any) -> Any:  # noqa: ANN401 - a reference of Ray's
        """Call a method of the ledger; return a reference to its answer."""
        return getattr(self.ledger, method).remote(self.group, *args)

    def tell(self, event: Event) -> Any:  # noqa: ANN401 - as above
        """Report an event; return a reference to wait for."""
        return self.ledger.tell.remote(event)


class Pools:
    """The pools of a group: those that it began with, and those that joined since.

    Args:
        desk: The group's place at the ledger, which knows the others.
        known: Those that it began with, by fingerprint.
    """

    def __init__(self, desk: Desk, known: Mapping[str, Pool]) -> None:
        self._desk, self._known = desk, dict(known)

    def __getitem__(self, fingerprint: str) -> Pool:
        if fingerprint not in self._known:
            self._known[fingerprint] = self._desk.call("pool", fingerprint)
        return self._known[fingerprint]


def hand_out(_: pa.Table, desk: Desk) -> Iterator[pa.Table]:
    """Yield calls as the ledger hands them out, until it is told that there are no more.

    Raises:
        EngineLostError: It was killed, and Ray tries it again: the pass must be begun anew.
    """
    if not (number := desk.call("begin")):
        raise EngineLostError("The source of a pass was killed.")
    while (parts := desk.call("next", number)) is not None:
        call = [{"pool": part.pool, **part.segment._asdict()} for part in parts]
        yield pa.Table.from_pylist([{"parts": call}], schema=CALL)


def ask(calls: pa.Table, desk: Desk, known: dict[str, Pool], store: Store) -> pa.Table:
    """Word the prompts of calls; those of one label of a pool stay next to each other."""
    strategies: dict[str, Any] = {}
    pools = Pools(desk, known)

    def worded(part: dict[str, Any]) -> dict[str, Any]:
        pool = pools[part["pool"]]
        rows = range(part["start"], part["stop"])
        if not engine_class(pool.config.engine).asks:
            return {**part, "prompts": [""] * len(rows), "attributes": ["{}"] * len(rows)}
        if pool.fingerprint not in strategies:
            strategies[pool.fingerprint] = pool.strategy(store)
        strategy = strategies[pool.fingerprint]
        asked = [strategy.ask(pool.row(part["slot"], index)) for index in rows]
        return {
            **part,
            "prompts": [one.text for one in asked],
            "attributes": [canonical(one.attributes).decode() for one in asked],
        }

    def place(part: dict[str, Any]) -> tuple[str, str, int]:
        return part["pool"], part["slot"], part["start"]

    worded_calls = [
        {"parts": [worded(part) for part in sorted(call["parts"], key=place)]}
        for call in calls.to_pylist()
    ]
    return pa.Table.from_pylist(worded_calls, schema=CALL)


class EngineActor:
    """One engine per actor: started once, then fed calls; commits each segment as it fills.

    The engine starts in the background, while prompts are worded. One that dies, or gives no sign
    of life, takes the process with it, since nothing else frees its memory for sure: Ray starts
    another in its place, and asks it the same calls; what was committed meanwhile is not asked
    again.
    """

    def __init__(
        self, desk: Desk, pools: dict[str, Pool], setup: Setup, calls_at_a_time: int
    ) -> None:
        import ray

        self._room = threading.Semaphore(calls_at_a_time)

        self._desk, self._pools, self._setup = desk, Pools(desk, pools), setup
        self._replica = str(ray.get_runtime_context().get_actor_id())
        self._engine: Future[Asking | None] = Future()
        self._dying = threading.Lock()
        self._clock = _Clock()
        threading.Thread(target=self._start, daemon=True).start()

    def __call__(self, calls: pa.Table) -> pa.Table:
        """Answer calls; the table returned says only how many there were."""
        for call in calls.to_pylist():
            if left := self._work(call["parts"]):
                self._desk.call("sit_out", left)
        return pa.table({"calls": [calls.num_rows]})

    def _work(self, parts: list[dict[str, Any]]) -> list[Part]:
        """Answer one call; return its segments if they cannot be made here."""
        with self._room:
            still = set(self._desk.call("take", [_part(part) for part in parts]))
            parts = [part for part in parts if _part(part) in still]
            engine = self._ready_engine()
            with self._clock.working():
                if parts and (engine is None or not self._answer(engine, parts)):
                    return [_part(part) for part in parts]
        return []

    def _ready_engine(self) -> Asking | None:
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
            self._desk.send("leave", self._replica)
        is_up = self._engine.done() and not self._engine.exception()
        if is_up and (engine := self._engine.result()):
            engine.close()

    def _start(self) -> None:
        began = time.monotonic()
        group, replica = self._desk.group, self._replica
        try:
            engine = None
            if self._desk.call("start", replica):
                engine = Asking(engine_class(self._setup.config.engine)(self._setup))
                self._desk.tell(Started(group, replica, time.monotonic() - began))
                self._clock.started(time.monotonic() - began)
        except EngineLostError as loss:
            if not loss.is_for_good:
                self._replace(str(loss))
            self._desk.call("give_up", str(loss))
        except InputError as error:
            self._refuse(error)
        except BaseException as error:  # a bug: the calls raise it, where Ray passes it on
            self._engine.set_exception(error)
            raise
        self._engine.set_result(engine)

    def _refuse(self, error: InputError | UnwritableError) -> None:
        import ray

        ray.get(self._desk.tell(Refused(self._desk.group, error)))

    def _answer(self, engine: Asking, parts: list[dict[str, Any]]) -> bool:
        """Answer one call; False if the engine refuses it."""
        import ray

        filling = Filling(self._setup, self._pools, parts, self._clock)
        told = [self._tell(part, {"was_there": True}) for part in filling.there]
        try:
            for completion in engine.complete(filling.prompts()):
                if done := filling.add(completion):
                    told.append(self._tell(*done))
            filling.check_complete()
        except EngineLostError as loss:
            if loss.is_for_good:
                self._desk.call("give_up", str(loss))
                return False
            self._replace(str(loss))
        except (InputError, UnwritableError) as error:
            self._refuse(error)
            return False
        ray.get(told)  # a report that dies with this process would be waited for
        return True

    def _tell(self, part: Part, counts: dict[str, Any]) -> Any:  # noqa: ANN401 - Ray's reference
        return self._desk.tell(Made(self._desk.group, self._replica, part, **counts))

    def _replace(self, cause: str) -> None:
        """End this process; Ray starts another in its place."""
        import ray

        with self._dying:  # never released: the first thread's word is the last
            ray.get(self._desk.tell(Lost(self._desk.group, self._replica, cause)))
            os._exit(REPLACED)


def _part(part: dict[str, Any]) -> Part:
    return Part(part["pool"], Segment(part["slot"], part["start"], part["stop"]))


class _Clock:
    """Deals an actor's time to the segments that it makes, so that their seconds add up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since, self._start_s = time.monotonic(), 0.0
        self._calls = 0  # that are being answered

    def started(self, seconds: float) -> None:
        """Say that the engine is ready, and how long that took."""
        with self._lock:
            self._since, self._start_s = time.monotonic(), seconds

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count the body's time; while no call is answered an engine waits, for nobody's rows."""
        with self._lock:
            if not self._calls:
                self._since = time.monotonic()
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1

    def lap(self) -> dict[str, float]:
        """Return the seconds since the last segment, and the first time those of the start."""
        with self._lock:
            now = time.monotonic()
            lap = {"seconds": round(now - self._since, 3), "start_s": round(self._start_s, 3)}
            self._since, self._start_s = now, 0.0
        return lap


class Filling:
    """The segments of one call, as their rows are answered in whatever order.

    Args:
        setup: Where they are committed, and what for.
        pools: The pools, by fingerprint.
        parts: The segments, with their prompts; see ``CALL``.
        clock: What tells the time that each took.

    Attributes:
        there: Those that are there already, made by a try before this one or by another command.
    """

    def __init__(
        self, setup: Setup, pools: Pools, parts: list[dict[str, Any]], clock: _Clock
    ) -> None:
        self._store, self._made_for = setup.store, setup.made_for
        self._pools, self._clock = pools, clock
        self._open: dict[RowId, tuple[Part, str, str]] = {}
        self._done: dict[Part, dict[int, tuple[dict[str, Any], Completion]]] = {}
        self.there: list[Part] = []
        for asked in parts:
            part = _part(asked)
            if self._store.has(_file(pools[part.pool], part.segment)):
                self.there.append(part)
                continue
            rows = range(part.segment.start, part.segment.stop)
            for index, prompt, drawn in zip(
                rows, asked["prompts"], asked["attributes"], strict=True
            ):
                self._open[RowId(part.pool, part.segment.slot, index)] = (part, prompt, drawn)

    def prompts(self) -> Iterator[Prompt]:
        """Yield the prompts."""
        for row, (part, prompt, _) in list(self._open.items()):
            yield Prompt(row, prompt, self._pools[part.pool])

    def add(self, completion: Completion) -> tuple[Part, dict[str, Any]] | None:
        """Take an answer; commit its segment if that was the last one it lacked.

        Returns:
            The segment that was committed, and its counts.
        """
        asked = self._open.pop(completion.row, None)
        if asked is None:
            raise RuntimeError(f"the engine answered row {completion.row} twice, or unasked")
        part, prompt, drawn = asked
        rows = self._done.setdefault(part, {})
        rows[completion.row.index] = (_pool_row(prompt, drawn, completion), completion)
        if len(rows) < part.rows:
            return None
        return part, self._commit(part)

    def check_complete(self) -> None:
        """Make sure that every prompt was answered."""
        if self._open:
            raise RuntimeError(f"the engine left {len(self._open)} prompts unanswered")

    def _commit(self, part: Part) -> dict[str, Plain]:
        answered = [row for _, row in sorted(self._done.pop(part).items())]
        completions = [completion for _, completion in answered]
        table = pa.Table.from_pylist([row for row, _ in answered], schema=POOL)
        counts: dict[str, Plain] = {
            "errors": sum(one.error is not None for one in completions),
            "prompt_tokens": sum(one.prompt_tokens or 0 for one in completions),
            "tokens": sum(one.completion_tokens or 0 for one in completions),
            "cached_tokens": sum(one.cached_tokens or 0 for one in completions),
            **self._clock.lap(),
        }
        notes = {"rows": len(answered), "study": self._made_for, **counts}
        self._store.commit(_file(self._pools[part.pool], part.segment), seal_table(table, notes))
        return counts


def _file(pool: Pool, segment: Segment) -> str:
    return f"{pool.folder}/{segment.name}"


def _pool_row(prompt: str, drawn: str, completion: Completion) -> dict[str, Any]:
    return {
        "id": str(completion.row),
        "slot": completion.row.slot,
        "index": completion.row.index,
        "prompt": prompt,
        "completion": storable(completion.text),
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "finish_reason": completion.finish_reason,
        "mean_logprob": completion.mean_logprob,
        "attributes": drawn,
        "error": None if completion.error is None else storable(completion.error),
    }
