"""Text made comparable: what two copies of one text have in common."""

import unicodedata

KEPT = frozenset("#@%&")  # punctuation to Unicode, but C# is not C, and #metoo not me too


def normalised(text: str, text_pair: str | None = None) -> str:
    """Return a row's text without case, punctuation and spacing, in one encoding of accents.

    Letters, marks, digits and symbols, emoji among them, stay. A text of nothing but punctuation
    keeps it, so that two such texts stay different.
    """
    first = _normalised(text)
    return first if text_pair is None else f"{first}\n{_normalised(text_pair)}"


def _normalised(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = folded.translate(_SPACED).split()
    return " ".join(words or folded.split())


class _Spaced(dict[int, str]):
    """Each character as itself or as a space, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_kept = character in KEPT or unicodedata.category(character)[0] in "LMNS"
        self[code] = character if is_kept else " "
        return self[code]


_SPACED = _Spaced()
