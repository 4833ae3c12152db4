"""From what an LLM answers when it is asked for a label to the label, if it names one."""

import re
from collections.abc import Iterable, Sequence

_AROUND = " \t\r\n.,:;!\"'`*()[]"  # what is often put around an answer


def named_label(answer: str, labels: Sequence[str]) -> str | None:
    """Return the label that an answer names.

    An answer that is a label, whatever is put around it, is that label. Else the one label that
    stands in it as a whole word counts, whatever the case of its letters; a label inside a longer
    one ("entailment" in "not entailment") is not named by that. No sense is made of the rest of the
    answer: "not positive" names "positive". What a model says to itself, up to a ``</think>``, is
    no part of its answer.

    Args:
        answer: The raw answer.
        labels: The task's labels.

    Returns:
        One of ``labels``; None where the answer names none of them, or several.
    """
    answer = answer.rpartition("</think>")[2].strip()
    if "<think>" in answer:  # it came to no end
        return None
    if answer in labels:
        return answer
    by_name: dict[str, list[str]] = {}
    for label in labels:
        by_name.setdefault(label.casefold(), []).append(label)
    text = answer.casefold()
    whole = text.strip(_AROUND)
    named = {whole} if whole in by_name else set(_pattern(by_name).findall(text))
    matches = [label for name in named for label in by_name[name]]
    return matches[0] if len(matches) == 1 else None


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
