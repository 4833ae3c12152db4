"""A view: what one curation recipe makes of a pool, row by row."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import DamagedError
from engine.fingerprint import SHORT
from engine.steps.pool import Pool
from engine.store.schema import NONE
from engine.store.segments import Segment, unbroken
from engine.store.store import Store
from engine.study.config import CurateConfig
from engine.tasks.task import Split


@dataclass(frozen=True)
class View:
    """One pool's view under one curation recipe.

    Attributes:
        fingerprint: Its identity, 64 hex digits.
        pool: The pool.
        config: The curation recipe.
        reads: What the fingerprint is made of, besides inputs.
        inputs: The pool's fingerprint and the content hashes of the gold splits compared with.
        files: The store's files with the gold splits.
    """

    fingerprint: str
    pool: Pool
    config: CurateConfig
    reads: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, str] = field(repr=False)
    files: Mapping[Split, str] = field(repr=False)

    @property
    def folder(self) -> str:
        """The view's folder in the store; its rows lie in ``rows/`` below it."""
        return f"views/{self.pool.label}-{self.fingerprint[:SHORT]}"

    def recipe(self) -> dict[str, Any]:
        """Return what the view's recipe file says."""
        return {
            "kind": "view",
            "fingerprint": self.fingerprint,
            "reads": dict(self.reads),
            "inputs": dict(self.inputs),
        }

    @property
    def labels(self) -> list[str]:
        """The labels of its rows; ``-`` alone where they have none yet."""
        return self.pool.labels

    def slot_of(self, label: str) -> str:
        """Return the slot of its pool that holds the rows of a label."""
        return label if label in self.pool.slots else NONE

    def segments(self, store: Store) -> dict[str, list[Segment]]:
        """Return the committed segments, by slot."""
        return store.segments(self.folder, self.pool.slots)


@dataclass(frozen=True)
class Tally:
    """What became of the rows of one slot, up to the first that has no outcome yet.

    Attributes:
        rows: Rows with an outcome.
        labels: How many of them were accepted, by label.
        refused: How many were refused, by reason.
    """

    rows: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """How many were accepted."""
        return sum(self.labels.values())

    def of(self, label: str) -> "Tally":
        """Return what is there of one label; rows of others count as refused for being such."""
        accepted = self.labels.get(label, 0)
        others = {"other_label": self.accepted - accepted} if accepted < self.accepted else {}
        return Tally(self.rows, {label: accepted} if accepted else {}, {**self.refused, **others})

    def reasons(self) -> dict[str, int]:
        """Return how many were refused by reason, the most frequent first."""
        return dict(sorted(self.refused.items(), key=lambda item: (-item[1], item[0])))

    def __add__(self, other: "Tally") -> "Tally":
        labels = Counter(self.labels) + Counter(other.labels)
        refused = Counter(self.refused) + Counter(other.refused)
        return Tally(self.rows + other.rows, dict(labels), dict(refused))


def tally_of(store: Store, view: View, slot: str) -> Tally:
    """Count a slot's outcomes from the footers, up to the first row without one.

    Raises:
        DamagedError: A footer cannot be read.
    """
    tally = Tally()
    for segment in unbroken(view.segments(store)[slot]):
        notes, _ = store.notes(f"{view.folder}/{segment.name}")
        tally += Tally(notes["rows"], notes["labels"], notes["refused"])
    return tally


def is_current(store: Store, view: View, slot: str) -> bool:
    """Say whether a view has judged every row of a label that its pool has, as it is now."""
    committed, chain = set(view.segments(store)[slot]), ""
    for segment in unbroken(view.pool.segments(store)[slot]):
        try:
            chain = chained(chain, store, f"{view.pool.folder}/{segment.name}")
            judged = f"{view.folder}/{segment.name}"
            if segment not in committed or store.notes(judged)[0]["chain"] != chain:
                return False
        except DamagedError:
            return False
    return True


def chained(chain: str, store: Store, name: str) -> str:
    """Return the hash of the pool segments up to this one: what its judged rows depend on."""
    return hashlib.sha256((chain + store.notes(name)[1]).encode()).hexdigest()
