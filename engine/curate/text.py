"""Text made comparable: what two copies of one text have in common."""

import unicodedata
from functools import cache

KEPT = frozenset("#@%&")  # punctuation to Unicode, but C# is not C, and #metoo not me too


def normalised(text: str, text_pair: str | None = None) -> str:
    """Return a row's text without case, punctuation and spacing, in one encoding of accents.

    Letters, marks, digits and symbols, emoji among them, stay. A text of nothing but punctuation
    keeps it, so that two such texts stay different.
    """
    one = _normalised(text)
    return one if text_pair is None else f"{one}\n{_normalised(text_pair)}"


def _normalised(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(one if _is_kept(one) else " " for one in folded).split()
    return " ".join(words or folded.split())


@cache
def _is_kept(character: str) -> bool:
    return character in KEPT or unicodedata.category(character)[0] in "LMNS"
