"""The view that a pool's rows are made from, and which of its rows each of them goes on with."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.prompts.strategy import Origin
from engine.store.accepted import AcceptedRows
from engine.store.schema import NONE, RowId
from engine.store.store import Store


@dataclass(frozen=True)
class Parent:
    """A view that another pool is made from.

    Row ``index`` of a label goes on with accepted row ``index`` of that label. Where the view's
    rows have no label yet, the labels of the pool take turns in them. So each row has a row of its
    own to go on with, which does not change as both pools grow.

    Attributes:
        fingerprint: The view's identity.
        folder: Its folder.
        slots: The slots of its pool.
        labels: The labels of its rows; ``-`` alone where they have none.
        turns: The slots of the pool that is made from it, in the order in which they take turns.
    """

    fingerprint: str
    folder: str
    slots: Sequence[str]
    labels: Sequence[str]
    turns: Sequence[str]

    def place(self, slot: str, index: int) -> tuple[str, int]:
        """Return the label, and the number among its accepted rows, that a row goes on with."""
        if slot in self.labels:
            return slot, index
        return NONE, index * len(self.turns) + list(self.turns).index(slot)

    def needs(self, slot: str, count: int) -> tuple[str, int]:
        """Return how many accepted rows of which label the first ``count`` rows of a slot take."""
        if not count:
            return self.place(slot, 0)[0], 0
        label, number = self.place(slot, count - 1)
        return label, number + 1

    def feeds(self, slot: str, accepted: Mapping[str, int]) -> int:
        """Return how many rows of a slot can be made from so many accepted rows of each label."""
        if slot in self.labels:
            return accepted.get(slot, 0)
        before = list(self.turns).index(slot)
        return max(0, -(-(accepted.get(NONE, 0) - before) // len(self.turns)))

    def finder(self, store: Store) -> Callable[[RowId], Origin]:
        """Return what finds the row that a row of the pool goes on with."""
        rows = AcceptedRows(store, self.folder, self.slots)

        def find(row: RowId) -> Origin:
            record = rows.row(*self.place(row.slot, row.index))
            texts = {
                name: record[name] for name in ("text", "text_pair") if record[name] is not None
            }
            drawn: dict[str, Any] = json.loads(record["attributes"])
            kept = {name: value for name, value in drawn.items() if name not in ("from", "given")}
            return Origin(record["id"], texts, kept)

        return find
