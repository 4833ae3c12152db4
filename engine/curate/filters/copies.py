"""Exact copies, after normalisation: of earlier rows, of the prompt's own shots, of gold rows."""

import hashlib
from typing import ClassVar

from engine.curate.filter import Candidate, Context
from engine.tasks.task import Split


class Duplicate:
    """Refuses ``duplicate``: an earlier row of the label has the same text, kept or not."""

    reads: ClassVar[frozenset[str]] = frozenset()
    compares: ClassVar[frozenset[Split]] = frozenset()
    remembers: ClassVar[bool] = True

    def __init__(self, context: Context) -> None:
        self._seen: set[bytes] = set()

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None."""
        key = hashlib.blake2b(row.normalised.encode(), digest_size=16).digest()
        if key in self._seen:
            return "duplicate"
        self._seen.add(key)
        return None


class ShotCopy:
    """Refuses ``shot_copy``: the text is that of a real row in the row's own prompt."""

    reads: ClassVar[frozenset[str]] = frozenset()
    compares: ClassVar[frozenset[Split]] = frozenset({"train"})
    remembers: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        self._train = context.gold["train"]

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None."""
        copied = any(self._train[shot] == row.normalised for shot in row.shots)
        return "shot_copy" if copied else None


class GoldCopy:
    """Refuses ``gold_copy``: the text is that of a validation or test row."""

    reads: ClassVar[frozenset[str]] = frozenset()
    compares: ClassVar[frozenset[Split]] = frozenset({"validation", "test"})
    remembers: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        self._gold = {*context.gold["validation"].values(), *context.gold["test"].values()}

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None."""
        return "gold_copy" if row.normalised in self._gold else None
