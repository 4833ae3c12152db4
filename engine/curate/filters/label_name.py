"""Texts that name their own label."""

import re
from typing import ClassVar

from engine.curate.filter import Candidate, Context
from engine.tasks.task import Split


class LabelName:
    """Refuses ``label_name``: the label's name is in the text, where the task says that this leaks.

    The name counts as whole words, in any case, with ``_`` and ``-`` as spaces.
    """

    reads: ClassVar[frozenset[str]] = frozenset()
    compares: ClassVar[frozenset[Split]] = frozenset()
    remembers: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        self._names = {
            label: re.compile(
                r"(?<!\w)"
                + r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", label)))
                + r"(?!\w)",
                re.IGNORECASE,
            )
            for label in (context.task.labels if context.task.label_name_leaks else ())
        }

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None."""
        name = self._names.get(row.label)
        texts = f"{row.text}\n{row.text_pair or ''}"
        return "label_name" if name and name.search(texts) else None
