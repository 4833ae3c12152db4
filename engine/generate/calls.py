"""A group's place at the ledger, and the wording of calls: segments that are answered together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.fingerprint import canonical
from engine.generate.engine import engine_class
from engine.generate.events import Event, SegmentRef
from engine.nodes.executor import Reply, Service
from engine.steps.pool import Pool
from engine.store.segments import Segment
from engine.store.store import Store

PART = pa.struct(  # of a call, where it is handed on as a row of a table
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


@dataclass(frozen=True)
class LedgerClient:
    """A group's place at the ledger.

    Attributes:
        ledger: The Ledger.
        group: The group.
    """

    ledger: Service
    group: str

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever the method returns
        """Call a method of the ledger and wait for its answer."""
        return self.ledger.call(method, self.group, *args)

    def send(self, method: str, *args: object) -> Reply:
        """Call a method of the ledger; its answer is to come."""
        return self.ledger.send(method, self.group, *args)

    def tell(self, event: Event) -> Reply:
        """Report an event; that it is heard is to come."""
        return self.ledger.send("tell", event)


class Pools:
    """The pools of a group: those that it began with, and those that joined since.

    Args:
        client: The group's place at the ledger, which knows the others.
        known: Those that it began with, by fingerprint.
    """

    def __init__(self, client: LedgerClient, known: Mapping[str, Pool]) -> None:
        self._client, self._known = client, dict(known)

    def __getitem__(self, fingerprint: str) -> Pool:
        if fingerprint not in self._known:
            self._known[fingerprint] = self._client.call("pool", fingerprint)
        return self._known[fingerprint]


class Wording:
    """Words the prompts of calls.

    Args:
        client: The group's place at the ledger.
        known: The pools that the group began with, by fingerprint.
        store: The root.
    """

    def __init__(self, client: LedgerClient, known: Mapping[str, Pool], store: Store) -> None:
        self._pools, self._store = Pools(client, known), store
        self._strategies: dict[str, Any] = {}

    def worded(self, parts: Sequence[SegmentRef]) -> list[dict[str, Any]]:
        """Return a call's segments as ``PART`` has them; those of one label next to each other."""

        def place(part: SegmentRef) -> tuple[str, str, int]:
            return part.pool, part.segment.slot, part.segment.start

        return [self._part(part) for part in sorted(parts, key=place)]

    def _part(self, part: SegmentRef) -> dict[str, Any]:
        pool, segment = self._pools[part.pool], part.segment
        place = {"pool": part.pool, **segment._asdict()}
        rows = range(segment.start, segment.stop)
        if not engine_class(pool.config.engine).asks:
            return {**place, "prompts": [""] * len(rows), "attributes": ["{}"] * len(rows)}
        if pool.fingerprint not in self._strategies:
            self._strategies[pool.fingerprint] = pool.strategy(self._store)
        strategy = self._strategies[pool.fingerprint]
        prompts = [strategy.ask(pool.row(segment.slot, index)) for index in rows]
        return {
            **place,
            "prompts": [prompt.text for prompt in prompts],
            "attributes": [canonical(prompt.attributes).decode() for prompt in prompts],
        }


def segment_ref(part: dict[str, Any]) -> SegmentRef:
    """Return the segment that a part of a call stands for."""
    return SegmentRef(part["pool"], Segment(part["slot"], part["start"], part["stop"]))
