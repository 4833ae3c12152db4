"""Sentences that several strategies share."""

from collections.abc import Sequence

from engine.prompts.strategy import Shot
from engine.tasks.task import Task


def request(task: Task, label: str, *hints: str) -> str:
    """Return what to write, hints on it, and the form of the answer, a line each."""
    return "\n".join([task.request(label), *hints, answer_form(task)])


def answer_form(task: Task) -> str:
    """Say how to answer, so that the parser can tell the fields apart."""
    names = list(task.fields.values())
    if len(names) == 1:
        return "Answer with the text alone."
    return "Answer in this form:\n" + "\n".join(f"{name}: ..." for name in names)


def examples(task: Task, shown: Sequence[Shot]) -> str:
    """State the task's labels, and show real rows, a blank line between them."""
    count = "An example" if len(shown) == 1 else "Some examples"
    stated = f"There are these labels: {', '.join(task.labels)}. {count}:"
    rows = [task.show(shot.text, shot.text_pair, shot.label) for shot in shown]
    return "\n\n".join([stated, *(row.strip() for row in rows)])
