"""Rows that give their label away by a word.

Source: Li et al. 2024, arXiv:2407.12813, table 3, which counts the BoolQ questions whose wording
gives the answer away, by words such as "not" or "only".
"""

import re
from collections.abc import Iterable, Sequence

from engine.steps.mix import Example


def trivial_rows(examples: Iterable[Example], words: Sequence[str]) -> int | None:
    """Count the rows whose text holds one of the words; a row counts once.

    A word counts as a whole word in any case: "Not" is "not", "nothing" and "not_1" are not. Of a
    pair only the first text is looked at.

    Args:
        examples: The rows.
        words: The words; each may be several words, with single spaces between them.

    Returns:
        The number of rows; None without words.
    """
    if not words:
        return None
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
    return sum(pattern.search(example.text) is not None for example in examples)
