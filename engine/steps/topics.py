"""Lists of topics that an LLM writes: a pool of answers, and the one list that is made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.fingerprint import SHORT, Plain
from engine.prompts.topic_list import AT_ONCE, TopicList, topics_in
from engine.steps.pool import Pool
from engine.store.schema import NONE
from engine.store.segments import SMALLEST, Segment, grid, unbroken
from engine.store.store import Store

ATTEMPTS = 4  # topics asked for, for each that is wanted, before the list is taken as it is


@dataclass(frozen=True)
class TopicPool(Pool):
    """The answers of an LLM that was asked for topics, and the list that they come to.

    The list is committed once, and read from then on: answers that come later change no prompt.

    Attributes:
        count: How many topics are wanted.
    """

    count: int = 0

    @property
    def slots(self) -> list[str]:
        """Topics have no label."""
        return [NONE]

    @property
    def file(self) -> str:
        """The store's file with the list."""
        return f"topics/{self.label}-{self.fingerprint[:SHORT]}.json"

    def recipe(self) -> dict[str, Any]:
        """Return what the pool's recipe file says."""
        return {**super().recipe(), "kind": "topics"}

    def strategy(self, store: Store) -> TopicList:
        """Build what words this pool's prompts."""
        return TopicList(self.task, self.count)

    def upto(self, segments: Sequence[Segment], store: Store) -> int:
        """Return how many answers the list takes, as far as can be told; 0 once it is there.

        Args:
            segments: The segments that are there.
            store: Where the list is, or will be.
        """
        if store.has(self.file):
            return 0
        least = grid(NONE, max(SMALLEST, -(-self.count // AT_ONCE)))
        rows = _rows(segments)
        return least[-1].stop if rows < least[-1].stop else grid(NONE, rows + 1)[-1].stop

    def settle(self, segments: Sequence[Segment], store: Store) -> bool:
        """Commit the list if the answers suffice, or if enough were asked for; say if it is there.

        A list without any topic is never committed.

        Raises:
            DamagedError: A segment is damaged.
        """
        if store.has(self.file):
            return True
        topics = topics_in(self._answers(segments, store))[: self.count]
        is_over = _rows(segments) * min(self.count, AT_ONCE) >= ATTEMPTS * self.count
        if len(topics) < self.count and not (is_over and topics):
            return False
        body: dict[str, Plain] = {
            "kind": "topics",
            "fingerprint": self.fingerprint,
            "topics": topics,
        }
        store.commit_document(self.file, body)
        return True

    def is_hopeless(self, segments: Sequence[Segment], store: Store) -> bool:
        """Say whether enough was asked for, and no topic found."""
        is_over = _rows(segments) * min(self.count, AT_ONCE) >= ATTEMPTS * self.count
        return (
            is_over and not store.has(self.file) and not topics_in(self._answers(segments, store))
        )

    def topics(self, store: Store) -> list[str]:
        """Return the list, empty as long as it is not there."""
        return list(store.document(self.file)["topics"]) if store.has(self.file) else []

    def _answers(self, segments: Sequence[Segment], store: Store) -> Iterable[str]:
        for segment in unbroken(segments):
            columns = ["completion", "finish_reason"]
            for answer in store.columns(f"{self.folder}/{segment.name}", columns).to_pylist():
                is_cut = answer["finish_reason"] == "length"  # in the middle of its last line
                whole = answer["completion"]
                yield whole.rpartition("\n")[0] if is_cut else whole


def _rows(segments: Sequence[Segment]) -> int:
    whole = unbroken(segments)
    return whole[-1].stop if whole else 0
