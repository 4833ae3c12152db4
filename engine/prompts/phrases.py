"""Sentences that several strategies share."""

from collections.abc import Iterable, Sequence

from engine.prompts.strategy import Shot
from engine.tasks.task import Task


def request(task: Task, label: str, *hints: str) -> str:
    """Return what to write, hints on it, and the form of the answer, a line each."""
    return "\n".join([task.request(label), *hints, answer_form(task)])


def answer_form(task: Task) -> str:
    """Say how to answer, so that the parser can tell the fields apart, and with which labels."""
    fields = {str(field): called for field, called in task.fields.items()}
    if len(fields) == 1:
        return "Answer with the text alone."
    form = "\n".join(["Answer in this form:", *(f"{name}: ..." for name in fields.values())])
    if "label" not in fields:
        return form
    return f"The {fields['label'].lower()} is one of: {listed(task.labels)}.\n{form}"


def listed(labels: Iterable[str]) -> str:
    """Return labels in a row, set apart so that it can be told where each of them ends."""
    labels = list(labels)
    return ("; " if any("," in label for label in labels) else ", ").join(labels)


def examples(task: Task, shown: Sequence[Shot]) -> str:
    """State the task's labels, and show real rows, a blank line between them."""
    count = "An example" if len(shown) == 1 else "Some examples"
    stated = f"There are these labels: {listed(task.labels)}. {count}:"
    rows = [task.show(shot.text, shot.text_pair, shot.label) for shot in shown]
    return "\n\n".join([stated, *(row.strip() for row in rows)])
