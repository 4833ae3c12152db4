"""From a raw completion to the row's fields, tolerant of what LLMs put around them.

Understood: a lead-in ("Sure, here is a review:"), a code fence, JSON, field names ("Text: ..."),
numbering, quotes around the whole, Markdown's bold, and line breaks. The raw completion stays in
the pool, so a better parser needs no new generation.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.store.schema import storable
from engine.tasks.task import Task

FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
# A lead-in ends with a colon. After an interjection, a line of its own or one that says "here" will
# do; "here is" alone must go on with what was asked for: "Here's the thing:" may begin a review.
LEAD_IN = re.compile(
    r"\A\W*(?:"
    r"(?:sure|certainly|of course|absolutely|okay|ok|great|got it)\b"
    r"(?:[^\n:]{0,150}:(?=[ \t]*\n)|[^\n:]{0,60}\bhere\b[^\n:]{0,100}:)"
    r"|(?:here(?:'|\u2019)?s|here (?:is|are)|below is)\s+(?:an?|one|another|my|your|the|some)\b"
    r"[^\n:]{0,80}\b(?:sentence|review|text|example|headline|news|story|tweet|post|question|"
    r"passage|premise|pair|title|message|comment|row|answer|request|requested)\b[^\n:]{0,80}:"
    r")\s*(?=\S)",
    re.IGNORECASE,
)
INTERJECTION = re.compile(
    r"\A\W*(?:sure|certainly|of course|absolutely)[!.,][ \t]*\n+", re.IGNORECASE
)
NUMBERING = re.compile(r"\A(?:\(?\d{1,3}[.)]|[-*\u2022])\s+")
QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "`": "`"}


class Parsed(NamedTuple):
    """The fields of a row; None where an answer does not hold them.

    Attributes:
        text: The text.
        text_pair: The second text.
        label: The label, where the LLM was to write it: one of the task's.
    """

    text: str | None
    text_pair: str | None = None
    label: str | None = None


class Unparsed(NamedTuple):
    """Why a completion has no row: ``empty``, ``unparsed``, or ``unknown_label``."""

    reason: str


class Layout(NamedTuple):
    """How answers of a task may be laid out.

    Attributes:
        fields: What answers hold, and how it is called in them: fields of the task, and the label
            where the LLM is to write it.
        labels: The task's labels.
        label_line: A line that states the label, such as "Sentiment: positive"; it is left out,
            where the label is none of the fields.
    """

    fields: Mapping[str, str]
    labels: Sequence[str]
    label_line: re.Pattern[str]


def layout(task: Task) -> Layout:
    """Return how answers may be laid out; the task is as the call sees it (``as_asked``)."""
    names = [task.called_label, "Label", "Category", "Class"]
    called, labels = ("|".join(map(re.escape, some)) for some in (names, task.labels))
    # up to the first colon: else an answer that ends in thousands of them would take minutes
    line = rf"^[^\w\n]*(?:{called})[^\w\n:]*:[^\w\n]*(?:{labels})[^\w\n]*$\n?"
    return Layout(
        {str(field): name for field, name in task.fields.items()},
        list(task.labels),
        re.compile(line, re.IGNORECASE | re.MULTILINE),
    )


def parse(completion: str, form: Layout) -> Parsed | Unparsed:
    """Find a row's fields in a completion.

    Args:
        completion: The raw text.
        form: How answers of the task may be laid out.
    """
    text = completion.strip()
    fields = _from_json(text, form.fields)  # with nothing taken off: its texts may hold fences
    if fields is None:
        text = _unfenced(text).strip()
        if not text:
            return Unparsed("empty")
        fields = _from_json(text, form.fields)
    if fields is None:
        text = _without_lead_in(text)
        text = _bare(text if "label" in form.fields else form.label_line.sub("", text))
        fields = _from_names(text, form.fields)
    if fields is None and len(form.fields) == 1:
        fields = {next(iter(form.fields)): text}
    if fields is None:
        return Unparsed("unparsed")
    if not all(fields.values()):
        return Unparsed("empty")
    label = _known(fields["label"], form.labels) if "label" in fields else None
    if "label" in fields and label is None:
        return Unparsed("unknown_label")
    return Parsed(fields.get("text"), fields.get("text_pair"), label)


def _known(written: str, labels: Sequence[str]) -> str | None:
    """Return the label that was written, in whatever case and between whatever marks."""
    bare = written.splitlines()[0].strip().strip("*_\"'`.,;:!()[]").casefold()
    return next((label for label in labels if label.casefold() == bare), None)


def _unfenced(text: str) -> str:
    match = FENCE.search(text)
    return match[1] if match and match[1].strip() else text.replace("```", "")


def _without_lead_in(text: str) -> str:
    return LEAD_IN.sub("", INTERJECTION.sub("", text)).strip()


def _from_json(text: str, fields: Mapping[str, str]) -> dict[str, str] | None:
    if not text.startswith("{"):
        return None
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return None
    keys = {str(key).casefold(): value for key, value in whole.items()}
    texts = {}
    for field, name in fields.items():
        value = keys.get(field, keys.get(name.casefold()))
        if field == "label" and isinstance(value, bool | int):
            value = str(value)  # true, or a number of stars
        if not isinstance(value, str):
            return None
        texts[field] = storable(value).strip()
    return texts


def _from_names(text: str, fields: Mapping[str, str]) -> dict[str, str] | None:
    """Split at the fields' names, each at the start of a line and followed by a colon."""
    longest_first = sorted(fields, key=lambda field: len(fields[field]), reverse=True)
    # told apart by group, not by what was read: a name in any case may have letters of Turkish
    alternatives = "|".join(f"(?P<{field}>{re.escape(fields[field])})" for field in longest_first)
    mark = rf"^[^\w\n]*(?:\d{{1,3}}[.)][^\w\n]*)?(?:{alternatives})[^\w\n]*:[ \t*]*"
    marks = list(re.finditer(mark, text, re.IGNORECASE | re.MULTILINE))
    ends = [*(match.start() for match in marks[1:]), len(text)]
    texts: dict[str, str] = {}
    for match, end in zip(marks, ends, strict=False):
        texts.setdefault(str(match.lastgroup), _bare(text[match.end() : end]))
    return texts if set(texts) == set(fields) else None


def _bare(text: str) -> str:
    """Take off numbering, bold marks and quotes around the whole, and put it on one line."""
    text = NUMBERING.sub("", text.strip(), count=1)
    if text.startswith("**") and text.endswith("**") and "**" not in text[2:-2]:
        text = text[2:-2]
    closing = QUOTES.get(text[:1])
    if closing and len(text) > 1 and text.endswith(closing):
        inner = text[1:-1]
        if closing not in inner and text[0] not in inner:
            text = inner
    return "\n".join(line.strip() for line in text.strip().splitlines() if line.strip())
