"""A pool: the raw completions of one recipe, and what a worker needs to extend it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from engine.fingerprint import SHORT, Plain
from engine.models import Model
from engine.prompts.call import Call, as_asked
from engine.prompts.rephrase import Rephrase
from engine.prompts.second import Second
from engine.prompts.strategy import Asker, Shot, strategy_class
from engine.steps.parent import Parent
from engine.store.schema import NONE, RowId
from engine.store.segments import Segment, grid
from engine.store.store import Store
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
            shown), ``records``, ``model``, ``adapter``, ``topics``, ``parent``.
        files: The store's files with those rows, or topics, by role.
        limits: How many rows of a slot there can be at all, where that is known.
        model: The model that is asked; None where there is none.
        adapter: The LoRA adapter that it is asked with, if any.
        call: Which of the calls that a row takes it answers.
        is_free: Whether the LLM chooses the labels, and writes them.
        parent: The view that its rows are made from; None for a first or only call.
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
    call: Call = "whole"
    is_free: bool = False
    parent: Parent | None = field(default=None, repr=False)

    @property
    def folder(self) -> str:
        """The pool's folder in the store."""
        return f"pools/{self.label}-{self.fingerprint[:SHORT]}"

    @property
    def slots(self) -> list[str]:
        """What is asked for: the task's labels, or ``-`` alone where none is named."""
        return [NONE] if self.names_no_label else list(self.task.labels)

    @property
    def names_no_label(self) -> bool:
        """Whether rows are asked for without a label."""
        if self.call == "first" and not self.is_free:  # but an example to follow has one
            return not strategy_class(self.config.strategy).uses_shots
        return self.is_free and self.call != "rephrase"

    @property
    def labels(self) -> list[str]:
        """What its rows can be labelled: ``-`` alone where a row has no label yet."""
        has_none = self.call == "first" and self.names_no_label
        return [NONE] if has_none else list(self.task.labels)

    @property
    def asked(self) -> Task:
        """The task as its calls see it."""
        is_free = self.is_free and self.call != "rephrase"
        return as_asked(self.task, self.call, is_free=is_free)

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
        return store.segments(self.folder, self.slots)

    def grid(self, slot: str, count: int) -> list[Segment]:
        """Return the segments that hold the first ``count`` rows of a slot."""
        return grid(slot, count)

    def strategy(self, store: Store) -> Asker:
        """Build what words this pool's prompts, with the store's real rows."""
        if self.parent:
            find = self.parent.finder(store)
            if self.call == "rephrase":
                return Rephrase(self.asked, find)
            return Second(self.task, self.asked, find)
        shots, listed = self.files.get("shots"), self.files.get("topics")
        return self.strategy_on(
            load_rows(store, shots) if shots else None,
            store.document(listed)["topics"] if listed else None,
        )

    def strategy_on(self, train: pa.Table | None, topics: list[str] | None = None) -> Asker:
        """Build the strategy that words this pool's prompts, with these real rows and topics."""
        kind = strategy_class(self.config.strategy)
        shots: list[Shot] = []
        if kind.uses_shots and train is not None:
            shots = shot_rows(train, self.replicate, self.config.shot_rows)
        config = (
            self.config if topics is None else self.config.model_copy(update={"topics": topics})
        )
        return kind(self.asked, config, shots)


def shot_rows(train: pa.Table, replicate: int, count: int) -> list[Shot]:
    """Return the real rows that prompts may show: the first ``count`` of the replicate's order."""
    shown = train.take(list(real_order(train, replicate)[:count])).to_pylist()
    return [Shot(row["id"], row["label"], row["text"], row["text_pair"]) for row in shown]


def by_fingerprint(pools: Iterable[Pool]) -> dict[str, Pool]:
    """Return pools by their full fingerprint."""
    return {pool.fingerprint: pool for pool in pools}


class Want(NamedTuple):
    """A segment of a pool that is not there yet."""

    pool: Pool
    segment: Segment

    @property
    def rows(self) -> int:
        """How many rows it will hold."""
        return self.segment.stop - self.segment.start


def given_in(attributes: str) -> dict[str, str]:
    """Return the fields that a pool row had before its prompt was asked, by name."""
    drawn: dict[str, Any] = json.loads(attributes)
    return dict(drawn.get("given", {}))


def shots_of(attributes: str) -> list[str]:
    """Return the ids of the real rows that a pool row's prompt showed."""
    drawn: dict[str, Any] = json.loads(attributes)
    return list(drawn.get("shots", []))
