"""One-shot prompts: a real row of the asked label, and the request for one that resembles it.

Source: Li et al. 2024, arXiv:2407.12813, section 3 and appendix A. The label is stated in the
request too, where the paper leaves it to the example. Left to right, any row is shown, and the
LLM writes the label of the new one, as the paper's prompt for SST-2 has it.
"""

from collections.abc import Sequence
from typing import ClassVar

from engine.prompts.phrases import examples, request
from engine.prompts.strategies.few_shot import check_shown
from engine.prompts.strategy import Asked, Shot
from engine.store.schema import NONE, RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


class OneShot:
    """Shows one real row of the slot's label and asks for a similar one."""

    reads: ClassVar[frozenset[str]] = frozenset({"shot_rows", "labelling"})
    uses_shots: ClassVar[bool] = True
    asks_first: ClassVar[bool] = True
    words: ClassVar[frozenset[str]] = frozenset({"similar"})

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        check_shown(task, shots)
        self._task = task
        self._shots = {label: [s for s in shots if s.label == label] for label in task.labels}
        self._shots[NONE] = list(shots)

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt."""
        shot = row.draws("shots").choice(self._shots[row.slot])
        hint = self._task.wording.similar
        parts = [examples(self._task, [shot]), request(self._task, row.slot, hint)]
        return Asked("\n\n".join(parts), {"shots": [shot.id]})
