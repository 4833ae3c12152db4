"""Texts of too few or too many words."""

from typing import ClassVar

from engine.curate.filter import Candidate, Context
from engine.tasks.task import Split


class Length:
    """Refuses ``too_short`` and ``too_long``; each text of a pair counts by itself."""

    reads: ClassVar[frozenset[str]] = frozenset({"min_words", "max_words"})
    compares: ClassVar[frozenset[Split]] = frozenset()
    remembers: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        self._config = context.config

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None."""
        counts = [len(text.split()) for text in (row.text, row.text_pair) if text is not None]
        if min(counts) < self._config.min_words:
            return "too_short"
        return "too_long" if max(counts) > self._config.max_words else None
