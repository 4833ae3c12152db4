"""Label-conditioned zero-shot prompts: the task's request, and nothing else.

Source: Li et al. 2024, arXiv:2407.12813, section 3 (class-conditioned zero-shot).
"""

from collections.abc import Sequence
from typing import ClassVar

from engine.prompts.phrases import request
from engine.prompts.strategy import Asked, Shot
from engine.store.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


class ZeroShot:
    """Asks for one row of the slot's label."""

    reads: ClassVar[frozenset[str]] = frozenset({"labelling"})
    uses_shots: ClassVar[bool] = False
    asks_first: ClassVar[bool] = True

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        self._task = task

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt."""
        return Asked(request(self._task, row.slot), {})
