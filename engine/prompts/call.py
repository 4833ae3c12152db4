"""A task as one call sees it: what is asked for, and what the answer holds.

A row can take one call or several (engine/README.md, "Identity": a pool may derive from a view):
the fields of a pair can be asked for one after the other, and a row that is there can be put in
other words. And a call can name the label, or leave it to the LLM, which then writes it too.
"""

from collections.abc import Mapping
from typing import Any, Literal

from engine.errors import ConfigError
from engine.tasks.task import Task

Call = Literal["whole", "first", "second", "rephrase"]


def as_asked(task: Task, call: Call, *, is_free: bool) -> Task:
    """Return a task whose wording and fields are those of one call.

    Args:
        task: The task.
        call: "whole" asks for a row; "first" and "second" for the fields of a pair, one after the
            other; "rephrase" for a row's text in other words.
        is_free: Whether the LLM chooses the label, and writes it after the fields.

    Returns:
        A task with the same labels. Its ``fields`` are what an answer holds, in order, the label
        among them if it is to be written; ``wording.request`` is what is asked for.

    Raises:
        ConfigError: The task does not say how this is worded.
    """
    wording, calls = task.wording, task.wording.calls
    if call == "rephrase":
        return _worded(task, {"text": task.fields["text"]}, wording.rephrase or _reworded(task))
    if call == "whole" or calls is None:
        whole = _required(task, wording.free if is_free else wording.request, "free")
        similar = wording.similar_free if is_free else wording.similar
        return _worded(task, task.fields, whole, is_free=is_free, similar=similar)
    first = {calls.field: task.fields[calls.field]}
    if call == "first":
        return _worded(task, first, calls.first, topic=calls.topic, similar=calls.similar)
    rest = {field: called for field, called in task.fields.items() if field not in first}
    second = _required(task, calls.second_free if is_free else calls.second, "calls.second_free")
    return _worded(task, rest, second, is_free=is_free)


def _worded(
    task: Task, fields: Mapping[Any, str], request: str, *, is_free: bool = False, **words: str
) -> Task:
    asked = {**fields, "label": task.called_label} if is_free else dict(fields)
    wording = task.wording.model_copy(update={"request": request, **words})
    return task.model_copy(update={"fields": asked, "wording": wording})


def _required(task: Task, request: str | None, field: str) -> str:
    if request is None:
        raise ConfigError(
            f'generate.labelling is "left_to_right", but the task {task.name!r} does not say what '
            f"to ask for then: give it wording.{field}."
        )
    return request


def _reworded(task: Task) -> str:
    called = task.fields["text"].lower()
    return f"Write this {called} in other words, so that it says the same: {{text}}"
