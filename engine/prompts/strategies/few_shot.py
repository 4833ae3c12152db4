"""Few-shot prompts: real rows first, then the request for one more like the first of them.

Source: Li et al. 2024, arXiv:2407.12813, section 3 and appendix A: the first example shown has the
label that is asked for. We name the label in the request as well, and draw the other examples from
all labels, so that each prompt shows the contrast; the paper does not say how it drew them. Left to
right, all are, and the LLM writes the label of the new row, as the paper's prompt for SST-2 has it.
"""

from collections.abc import Sequence
from typing import ClassVar

from engine.errors import ConfigError
from engine.prompts.phrases import examples, request
from engine.prompts.strategy import Asked, Shot
from engine.store.schema import NONE, RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


class FewShot:
    """Shows ``shots`` real rows, the first of the slot's label, and asks for another."""

    reads: ClassVar[frozenset[str]] = frozenset({"shots", "shot_rows", "labelling"})
    uses_shots: ClassVar[bool] = True
    words: ClassVar[frozenset[str]] = frozenset({"similar_few"})

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        self._task, self._config, self._shots = task, config, shots
        if config.shots > len(shots):
            raise ConfigError(
                f"generate.shots is {config.shots}, but there are only {len(shots)} real rows to "
                "show; lower it, or raise generate.shot_rows if the train split has more."
            )
        check_shown(task, shots)

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt."""
        draws = row.draws("shots")
        first = draws.choice([shot for shot in self._shots if row.slot in (shot.label, NONE)])
        others = [shot for shot in self._shots if shot is not first]
        shown = [first, *draws.sample(others, self._config.shots - 1)]
        hint = self._task.wording.similar_few
        asked = request(self._task, row.slot, *([hint] if hint else []))
        parts = [examples(self._task, shown), asked]
        return Asked("\n\n".join(parts), {"shots": [shot.id for shot in shown]})


def check_shown(task: Task, shots: Sequence[Shot]) -> None:
    """Make sure that there is a real row of every label to show.

    Raises:
        ConfigError: There is none of some label.
    """
    lacking = set(task.labels) - {shot.label for shot in shots}
    if lacking:
        raise ConfigError(
            f"None of the {len(shots)} real rows to show has the label {min(lacking)!r}; raise "
            "generate.shot_rows."
        )
