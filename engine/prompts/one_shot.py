"""One-shot prompts: a real row of the asked label, and the request for one that resembles it.

Source: Li et al. 2024, arXiv:2407.12813, section 3 and appendix A. The label is stated in the
request too, where the paper leaves it to the example.
"""

from collections.abc import Sequence
from typing import ClassVar

from engine.prompts.few_shot import check_shown
from engine.prompts.phrases import examples, request
from engine.prompts.strategy import Asked, Shot
from engine.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task

HINT = "It should resemble the example, but be new."


class OneShot:
    """Shows one real row of the slot's label and asks for a similar one."""

    reads: ClassVar[frozenset[str]] = frozenset({"shot_rows"})
    uses_shots: ClassVar[bool] = True

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        check_shown(task, shots)
        self._task = task
        self._shots = {label: [s for s in shots if s.label == label] for label in task.labels}

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt."""
        shot = row.draws("shots").choice(self._shots[row.slot])
        parts = [examples(self._task, [shot]), request(self._task, row.slot, HINT)]
        return Asked("\n\n".join(parts), {"shots": [shot.id]})
