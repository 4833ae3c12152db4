"""Answers in which the model declines to write."""

import re
from typing import ClassVar

from engine.curate.filter import Candidate, Context
from engine.tasks.task import Split

# At the start only, and only with what a model says of itself: a review may well be sorry. Spaces
# are looked for once wherever there may be some: were it twice, a megabyte of them would take days.
REFUSAL = re.compile(
    r"\A\W*(?:"
    r"(?:i\s*(?:['\u2019]\s*)?a?m sorry|i apologi[sz]e|sorry|unfortunately)\b[^.\n]{0,40}?"
    r"\b(?:i\s*(?:can\s*(?:['\u2019]\s*)?t|cannot|am (?:not able|unable)|won['\u2019]?t)"
    r"|as an ai)\b"
    r"|as an? (?:ai|artificial intelligence|large language|language)\b"
    r"|i\s*(?:can\s*(?:['\u2019]\s*)?t|cannot|am (?:not able|unable) to|won['\u2019]?t)\s+"
    r"(?:(?:assist|comply|fulfill?)\b|help(?= you\b| with\b|\s*[.,!]|\s*\Z)"
    r"|(?:provide|create|generate|write|produce)\b[^.\n]{0,60}\b(?:reviews?|sentences?|texts?|content|"
    r"examples?|responses?|requests?|headlines?|tweets?|posts?|material|this|that|such)\b)"
    r")",
    re.IGNORECASE,
)


class Refusal:
    """Refuses ``refusal``: the completion begins by declining."""

    reads: ClassVar[frozenset[str]] = frozenset()
    compares: ClassVar[frozenset[Split]] = frozenset()
    remembers: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        pass

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None."""
        declines = REFUSAL.match(row.completion) or REFUSAL.match(row.text)
        return "refusal" if declines else None
