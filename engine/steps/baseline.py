"""The pool of a baseline: the LLM's own answers to what the labels of the scored rows are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.prompts.classify import Classify
from engine.prompts.strategy import Shot
from engine.steps.pool import Pool, shot_rows
from engine.store.schema import RowId
from engine.store.segments import Segment
from engine.store.store import Store
from engine.tasks.gold import load_rows


@dataclass(frozen=True)
class Baseline(Pool):
    """A pool whose slots are the scored splits; row ``index`` asks about the split's row there.

    Its ``files`` name the gold rows of those splits and, with shots, of the train split; its
    ``limits`` say how many rows each split has.

    Attributes:
        shots: How many labelled real rows each prompt shows: the first of the replicate's order,
            which takes labels in turn.
    """

    shots: int = 0

    @property
    def slots(self) -> list[str]:
        """What is asked about: the scored splits."""
        return list(self.limits)

    def grid(self, slot: str, count: int) -> list[Segment]:
        """Return the segments that hold the first ``count`` rows; the last ends with the split."""
        limit = self.limits[slot]
        whole = super().grid(slot, min(count, limit))
        return [segment._replace(stop=min(segment.stop, limit)) for segment in whole]

    def lacking(self, store: Store) -> int:
        """Return how many rows of the splits are not there yet."""
        committed = [segment for segments in self.segments(store).values() for segment in segments]
        return sum(self.limits.values()) - sum(
            segment.stop - segment.start for segment in committed
        )

    def recipe(self) -> dict[str, Any]:
        """Return what the pool's recipe file says."""
        return {**super().recipe(), "kind": "baseline"}

    def strategy(self, store: Store) -> Classify:
        """Build what words this pool's prompts, with the store's real rows."""
        return self.strategy_on_splits(
            {str(split): load_rows(store, name) for split, name in self._splits().items()}
        )

    def _splits(self) -> dict[str, str]:
        train = {"train": self.files["shots"]} if self.shots else {}
        return {**{split: self.files[split] for split in self.limits}, **train}

    def strategy_on_splits(self, rows: Mapping[str, pa.Table]) -> Classify:
        """Build it with these real rows, by split."""
        shown = shot_rows(rows["train"], self.replicate, self.shots) if self.shots else []

        def find(row: RowId) -> Shot:
            record = rows[row.slot].slice(row.index, 1).to_pylist()[0]
            return Shot(record["id"], record["label"], record["text"], record["text_pair"])

        return Classify(self.task, shown, find)
