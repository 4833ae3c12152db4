"""The accepted rows of a view, by label: what is trained on, and what other pools are made from."""

from collections.abc import Iterator, Sequence
from typing import Any

from engine.store.schema import NONE
from engine.store.segments import Segment, unbroken
from engine.store.store import Store

_COLUMNS = ["id", "label", "text", "text_pair", "status", "attributes"]


def accepted_rows(
    store: Store, folder: str, segments: Sequence[Segment], label: str
) -> Iterator[dict[str, Any]]:
    """Yield a label's accepted rows by index, up to the first row without an outcome.

    Args:
        store: Where the view is.
        folder: The view's folder.
        segments: Its segments of the slot that holds the label, in order.
        label: The label, or ``-`` for rows that have none.
    """
    for segment in unbroken(segments):
        yield from _accepted_of(store, f"{folder}/{segment.name}", label)


def _accepted_of(store: Store, name: str, label: str) -> list[dict[str, Any]]:
    rows = store.columns(name, _COLUMNS).to_pylist()
    return [row for row in rows if row["status"] == "accepted" and (row["label"] or NONE) == label]


class AcceptedRows:
    """A view's accepted rows of each label by their number, which no further row changes.

    Args:
        store: Where the view is.
        folder: The view's folder.
        slots: The slots of its pool.
    """

    def __init__(self, store: Store, folder: str, slots: Sequence[str]) -> None:
        self._store, self._folder = store, folder
        by_slot = store.segments(folder, slots)
        self._segments = {slot: unbroken(segments) for slot, segments in by_slot.items()}
        self._at: dict[str, tuple[int, list[dict[str, Any]]]] = {}  # the last segment looked at
        self._starts: dict[str, list[tuple[int, Segment]]] = {}

    def row(self, label: str, number: int) -> dict[str, Any]:
        """Return a label's accepted row ``number``, from 0.

        Raises:
            IndexError: There are fewer.
            DamagedError: A file of the view is damaged.
        """
        start, rows = self._at.get(label, (0, []))
        if not start <= number < start + len(rows):
            start, segment = self._segment_of(label, number)
            rows = _accepted_of(self._store, f"{self._folder}/{segment.name}", label)
            self._at[label] = (start, rows)
        return rows[number - start]

    def _segment_of(self, label: str, number: int) -> tuple[int, Segment]:
        """Find the segment by what the footers say: reading all rows would cost as pools grow."""
        if label not in self._starts:
            self._starts[label] = list(self._counted(label))
        starts = [start for start in self._starts[label] if start[0] <= number]
        if not starts:
            raise IndexError(f"{self._folder} has no accepted row of {label!r}")
        return starts[-1]

    def _counted(self, label: str) -> Iterator[tuple[int, Segment]]:
        """Yield the segments that have rows of a label, each with the number of its first."""
        total = 0
        slot = label if label in self._segments else NONE
        for segment in self._segments[slot]:
            notes, _ = self._store.notes(f"{self._folder}/{segment.name}")
            if count := notes["labels"].get(label, 0):
                yield total, segment
                total += count
