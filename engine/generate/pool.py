"""A pool: the raw completions of one recipe, and what a worker needs to extend it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from engine.fingerprint import SHORT, Plain
from engine.models import Model
from engine.prompts.strategy import Asker, Shot, strategy_class
from engine.schema import RowId
from engine.segments import Segment, grid, present
from engine.store import Store
from engine.study.config import GenerateConfig
from engine.tasks.gold import load_rows
from engine.tasks.order import real_order
from engine.tasks.task import Task


@dataclass(frozen=True)
class Pool:
    """One recipe's pool.

    Attributes:
        fingerprint: Its identity, 64 hex digits.
        label: What it is called on disk, before the hash.
        task: The task.
        config: The recipe.
        replicate: Number of the draw.
        reads: What the fingerprint is made of, besides inputs.
        inputs: What identifies what it reads, by role: ``shots`` (only the real rows that can be
            shown), ``records``, ``model``, ``adapter``.
        files: The store's files with those rows, by role.
        limits: How many rows of a slot there can be at all, where that is known.
        model: The model that is asked; None where there is none.
        adapter: The LoRA adapter that it is asked with, if any.
    """

    fingerprint: str
    label: str
    task: Task
    config: GenerateConfig
    replicate: int
    reads: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Plain] = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    limits: Mapping[str, int] = field(repr=False)
    model: Model | None = field(repr=False)
    adapter: Model | None = field(default=None, repr=False)

    @property
    def folder(self) -> str:
        """The pool's folder in the store."""
        return f"pools/{self.label}-{self.fingerprint[:SHORT]}"

    @property
    def slots(self) -> list[str]:
        """What is asked for: the task's labels."""
        return list(self.task.labels)

    def row(self, slot: str, index: int) -> RowId:
        """Return the identity of one row."""
        return RowId(self.fingerprint, slot, index)

    def recipe(self) -> dict[str, Any]:
        """Return what the pool's recipe file says."""
        return {
            "kind": "pool",
            "fingerprint": self.fingerprint,
            "reads": dict(self.reads),
            "inputs": dict(self.inputs),
        }

    def segments(self, store: Store) -> dict[str, list[Segment]]:
        """Return the committed segments, by slot."""
        return present(store, self.folder, self.slots)

    def grid(self, slot: str, count: int) -> list[Segment]:
        """Return the segments that hold the first ``count`` rows of a slot."""
        return grid(slot, count)

    def strategy(self, store: Store) -> Asker:
        """Build what words this pool's prompts, with the store's real rows."""
        shots = self.files.get("shots")
        return self.strategy_on(load_rows(store, shots) if shots else None)

    def strategy_on(self, train: pa.Table | None) -> Asker:
        """Build the strategy that words this pool's prompts, with these real rows."""
        kind = strategy_class(self.config.strategy)
        shots: list[Shot] = []
        if kind.uses_shots and train is not None:
            shots = shot_rows(train, self.replicate, self.config.shot_rows)
        return kind(self.task, self.config, shots)


def shot_rows(train: pa.Table, replicate: int, count: int) -> list[Shot]:
    """Return the real rows that prompts may show: the first ``count`` of the replicate's order."""
    columns = [train[name].to_pylist() for name in ("id", "label", "text", "text_pair")]
    order = real_order(train, replicate)[:count]
    return [Shot(*(column[place] for column in columns)) for place in order]


def by_fingerprint(pools: Iterable[Pool]) -> dict[str, Pool]:
    """Return pools by their full fingerprint."""
    return {pool.fingerprint: pool for pool in pools}
