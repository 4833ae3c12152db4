"""A row's text in other words, by an LLM that is not told its label.

Source: Li et al. 2024, arXiv:2407.12813, section 5.2 and appendix B: a question that was written
for an answer can give it away by its words ("only", "not"); one that is written anew without
knowledge of the answer does so less. Only ``text`` is rewritten; a pair keeps its other field.
"""

from collections.abc import Callable

from engine.prompts.phrases import answer_form
from engine.prompts.strategy import Asked, Origin
from engine.store.schema import RowId
from engine.tasks.task import Task


class Rephrase:
    """Asks for the text of a row in other words.

    Args:
        asked: The task as this call sees it.
        find: Returns the row that a row of the pool rewrites.
    """

    def __init__(self, asked: Task, find: Callable[[RowId], Origin]) -> None:
        self._asked, self._find = asked, find

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt; its label is not shown."""
        before = self._find(row)
        text = self._asked.wording.request.format(text=before.texts["text"])
        kept = {name: value for name, value in before.texts.items() if name != "text"}
        prompt = "\n".join([text, answer_form(self._asked)])
        return Asked(prompt, {**before.attributes, "from": before.id, "given": kept})
