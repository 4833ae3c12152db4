"""A pass's source, and the wording of its prompts; a row of the dataset is a call."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from engine.errors import EngineLostError
from engine.fingerprint import canonical
from engine.generate.engine import engine_class
from engine.generate.events import Event, SegmentRef
from engine.nodes.actors import Actor, Reference, Remote
from engine.steps.pool import Pool
from engine.store.segments import Segment
from engine.store.store import Store

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


@dataclass(frozen=True)
class LedgerClient:
    """A group's place at the ledger.

    Attributes:
        ledger: The handle of the Ledger actor.
        group: The group.
    """

    ledger: Actor
    group: str

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever the method returns
        """Call a method of the ledger and wait for its answer."""
        return ray.get(self.send(method, *args))

    def send(self, method: str, *args: object) -> Reference:
        """Call a method of the ledger; return a reference to its answer."""
        called: Remote = getattr(self.ledger, method)
        return called.remote(self.group, *args)

    def tell(self, event: Event) -> Reference:
        """Report an event; return a reference to wait for."""
        return self.ledger.tell.remote(event)


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


def hand_out(_: pa.Table, client: LedgerClient) -> Iterator[pa.Table]:
    """Yield calls as the ledger hands them out, until it is told that there are no more.

    Raises:
        EngineLostError: It was killed, and Ray tries it again: the pass must be begun anew.
    """
    if not (number := client.call("begin")):
        raise EngineLostError("The source of a pass was killed.")
    while (parts := client.call("next", number)) is not None:
        call = [{"pool": part.pool, **part.segment._asdict()} for part in parts]
        yield pa.Table.from_pylist([{"parts": call}], schema=CALL)


def ask(calls: pa.Table, client: LedgerClient, known: dict[str, Pool], store: Store) -> pa.Table:
    """Word the prompts of calls; those of one label of a pool stay next to each other."""
    strategies: dict[str, Any] = {}
    pools = Pools(client, known)

    def worded(part: dict[str, Any]) -> dict[str, Any]:
        pool = pools[part["pool"]]
        rows = range(part["start"], part["stop"])
        if not engine_class(pool.config.engine).asks:
            return {**part, "prompts": [""] * len(rows), "attributes": ["{}"] * len(rows)}
        if pool.fingerprint not in strategies:
            strategies[pool.fingerprint] = pool.strategy(store)
        strategy = strategies[pool.fingerprint]
        prompts = [strategy.ask(pool.row(part["slot"], index)) for index in rows]
        return {
            **part,
            "prompts": [prompt.text for prompt in prompts],
            "attributes": [canonical(prompt.attributes).decode() for prompt in prompts],
        }

    def place(part: dict[str, Any]) -> tuple[str, str, int]:
        return part["pool"], part["slot"], part["start"]

    worded_calls = [
        {"parts": [worded(part) for part in sorted(call["parts"], key=place)]}
        for call in calls.to_pylist()
    ]
    return pa.Table.from_pylist(worded_calls, schema=CALL)


def segment_ref(part: dict[str, Any]) -> SegmentRef:
    """Return the segment that a part of a call stands for."""
    return SegmentRef(part["pool"], Segment(part["slot"], part["start"], part["stop"]))
