"""The second of two calls: the field that is still lacking, for one that an LLM wrote before.

Source: Li et al. 2024, arXiv:2407.12813, appendix A (BoolQ): a passage is asked for first, then a
question on it whose answer is drawn at random. Here the answers are asked for in equal numbers.
"""

from collections.abc import Callable

from engine.prompts.phrases import request
from engine.prompts.strategy import Asked, Origin
from engine.store.schema import RowId
from engine.tasks.task import Task


class Second:
    """Shows the field that is there and asks for the other.

    Args:
        task: The task.
        asked: The task as this call sees it.
        find: Returns the row that a row of the pool goes on with.
    """

    def __init__(self, task: Task, asked: Task, find: Callable[[RowId], Origin]) -> None:
        self._task, self._asked, self._find = task, asked, find

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt."""
        before = self._find(row)
        fields = self._task.fields.items()
        named_texts = [
            (called, before.texts[name]) for name, called in fields if name in before.texts
        ]
        shown = "\n".join(f"{called}: {text}" for called, text in named_texts)
        prompt = "\n\n".join([shown, request(self._asked, row.slot)])
        return Asked(prompt, {**before.attributes, "from": before.id, "given": dict(before.texts)})
