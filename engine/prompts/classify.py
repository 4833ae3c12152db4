"""Prompts that ask the LLM itself for a row's label, zero-shot or after labelled real rows.

Source: Li et al. 2024, arXiv:2407.12813, appendix D (LLM evaluation): a plain description of the
task and the input, with k examples before it or none. Its wording is not printed there; this one
describes the task by what its labels mean. All rows see the same examples, where the paper does not
say how it chose them: so what stands before the row's text is the same in all prompts, and engines
that cache prefixes work on it once.
"""

from collections.abc import Callable, Iterator, Sequence

from engine.prompts.phrases import listed
from engine.prompts.strategy import Asked, Shot
from engine.store.schema import RowId
from engine.tasks.task import Task


class Classify:
    """Asks for the label of a real row.

    Args:
        task: The task.
        shots: The labelled rows that every prompt shows, in this order.
        find: Returns the real row that a row of the pool asks about.
    """

    def __init__(self, task: Task, shots: Sequence[Shot], find: Callable[[RowId], Shot]) -> None:
        self._task, self._shots, self._find = task, shots, find
        self._before = "\n\n".join(self._preface())

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt; its own label is not shown."""
        asked = self._find(row)
        order = f"Answer with the label alone, one of: {listed(self._task.labels)}."
        text = "\n\n".join([self._before, self._fields(asked), order])
        shown = {"shots": [shot.id for shot in self._shots]} if self._shots else {}
        return Asked(text, {"row": asked.id, **shown})

    def _preface(self) -> Iterator[str]:
        what = "pair of texts" if len(self._task.fields) > 1 else "text"
        meanings = [f"- {label}: {meaning}" for label, meaning in self._task.labels.items()]
        yield "\n".join([f"Which of these labels fits the {what} at the end?", *meanings])
        if self._shots:
            yield "An example:" if len(self._shots) == 1 else "Some examples:"
            yield from (f"{self._fields(shot)}\nLabel: {shot.label}" for shot in self._shots)
            yield f"The {what} to label:"

    def _fields(self, row: Shot) -> str:
        texts = {"text": row.text, "text_pair": row.text_pair}
        return "\n".join(f"{called}: {texts[name]}" for name, called in self._task.fields.items())
