"""The segments of one call, as their rows are answered in whatever order."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from engine.fingerprint import Plain
from engine.generate.calls import Pools, segment_ref
from engine.generate.engine import Completion, Prompt, Setup
from engine.generate.events import SegmentRef
from engine.steps.pool import Pool
from engine.store.schema import POOL, RowId, storable
from engine.store.seal import seal_table
from engine.store.segments import Segment


class Stopwatch:
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


class CallBuffer:
    """The segments of one call, as their rows are answered in whatever order.

    Args:
        setup: Where they are committed, and what for.
        pools: The pools, by fingerprint.
        parts: The segments, with their prompts; see ``CALL``.
        clock: What tells the time that each took.

    Attributes:
        committed: Those that are there already, by a try before this one or another command.
    """

    def __init__(
        self, setup: Setup, pools: Pools, parts: list[dict[str, Any]], clock: Stopwatch
    ) -> None:
        self._store, self._made_for = setup.store, setup.made_for
        self._pools, self._clock = pools, clock
        self._open: dict[RowId, tuple[SegmentRef, str, str]] = {}
        self._done: dict[SegmentRef, dict[int, tuple[dict[str, Any], Completion]]] = {}
        self.committed: list[SegmentRef] = []
        for asked in parts:
            part = segment_ref(asked)
            if self._store.has(_file(pools[part.pool], part.segment)):
                self.committed.append(part)
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

    def add(self, completion: Completion) -> tuple[SegmentRef, dict[str, Any]] | None:
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

    def _commit(self, part: SegmentRef) -> dict[str, Plain]:
        answered = [row for _, row in sorted(self._done.pop(part).items())]
        completions = [completion for _, completion in answered]
        table = pa.Table.from_pylist([row for row, _ in answered], schema=POOL)
        counts: dict[str, Plain] = {
            "errors": sum(completion.error is not None for completion in completions),
            "prompt_tokens": sum(completion.prompt_tokens or 0 for completion in completions),
            "tokens": sum(completion.completion_tokens or 0 for completion in completions),
            "cached_tokens": sum(completion.cached_tokens or 0 for completion in completions),
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
