"""Label-conditioned zero-shot prompts: the task's request, and nothing else.

Source: Li et al. 2024, arXiv:2407.12813, section 3 (class-conditioned zero-shot).
"""

from collections.abc import Sequence
from typing import ClassVar

from engine.prompts.strategy import Asked, Shot
from engine.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


class ZeroShot:
    """Asks for one row of the slot's label."""

    reads: ClassVar[frozenset[str]] = frozenset()
    uses_shots: ClassVar[bool] = False

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        self._task = task

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt."""
        return Asked(f"{self._task.request(row.slot)}\n{answer_form(self._task)}", {})


def answer_form(task: Task) -> str:
    """Say how to answer, so that the parser can tell the fields apart."""
    names = list(task.fields.values())
    if len(names) == 1:
        return "Answer with the text alone."
    return "Answer in this form:\n" + "\n".join(f"{name}: ..." for name in names)
