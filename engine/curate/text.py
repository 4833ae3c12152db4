"""Text made comparable: what two copies of one text have in common."""

import re
import unicodedata


def normalised(text: str, text_pair: str | None = None) -> str:
    """Return a row's text without case, punctuation, accents' encodings and spacing.

    A text of nothing but punctuation keeps it, so that two such texts stay different.
    """
    one = _normalised(text)
    return one if text_pair is None else f"{one}\n{_normalised(text_pair)}"


def _normalised(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.findall(r"\w+", folded)
    return " ".join(words) if words else " ".join(folded.split())
