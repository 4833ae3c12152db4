"""Pools and views on disk: an immutable recipe, and rows in a fixed grid of index ranges.

There is one file for each range of each slot. The grid depends on nothing but itself, so two
writers of one pool always want the same names and the first commit wins. A range is at most a
quarter of what lies before it (16 rows at least, 512 at most): a pool holds at most a quarter more
rows than were asked for, and a million rows make about two thousand files.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SMALLEST, LARGEST = 16, 512
_NAME = re.compile(r"(?P<slot>.*)\.(?P<start>\d{9})-(?P<stop>\d{9})\.parquet")


class Segment(NamedTuple):
    """The rows ``start`` to ``stop - 1`` of one slot."""

    slot: str
    start: int
    stop: int

    @property
    def name(self) -> str:
        """The file's name inside its pool or view."""
        return f"rows/{slot_name(self.slot)}.{self.start:09d}-{self.stop:09d}.parquet"


def named_range(name: str) -> tuple[str, range] | None:
    """Return what a segment's file calls its slot, and the indices that it has by its name."""
    match = _NAME.fullmatch(name.rpartition("/")[2])
    return match and (match["slot"], range(int(match["start"]), int(match["stop"])))


def slot_name(slot: str) -> str:
    """Return a name for files that is readable, and different for different slots."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", slot).strip("-")[:24] or "slot"
    return f"{readable}-{hashlib.sha256(slot.encode()).hexdigest()[:8]}"


def grid(slot: str, count: int) -> list[Segment]:
    """Return the segments that hold the first ``count`` rows of ``slot``, whole ones only."""
    segments, start = [], 0
    while start < count:
        step = SMALLEST
        while step < LARGEST and step * 8 <= start:
            step *= 2
        segments.append(Segment(slot, start, start + step))
        start += step
    return segments


def by_slot(names: Iterable[str], slots: Iterable[str]) -> dict[str, list[Segment]]:
    """Return the segments that files' names stand for, by slot, in the order of the names."""
    slot_by_name = {slot_name(slot): slot for slot in slots}
    segments: dict[str, list[Segment]] = {slot: [] for slot in slot_by_name.values()}
    for name in names:
        match = _NAME.fullmatch(name)
        if match and match["slot"] in slot_by_name:
            slot = slot_by_name[match["slot"]]
            segments[slot].append(Segment(slot, int(match["start"]), int(match["stop"])))
    return segments


def unbroken(segments: Sequence[Segment]) -> list[Segment]:
    """Return the leading segments up to the first gap."""
    kept: list[Segment] = []
    for segment in segments:
        if segment.start != (kept[-1].stop if kept else 0):
            break
        kept.append(segment)
    return kept
