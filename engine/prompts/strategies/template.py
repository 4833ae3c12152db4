"""Texts made by filling in templates: a cheap arm without any LLM, for the ``verbatim`` engine.

Related work: Gholami and Omar 2023, arXiv:2310.07830 (template-made training text).
"""

from collections.abc import Sequence
from string import Formatter
from typing import ClassVar

from engine.errors import ConfigError
from engine.prompts.strategy import Asked, Shot
from engine.store.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


class Template:
    """Draws one of the label's templates and a value for each of its ``{slots}``.

    ``{index}`` stands for the row's number and ``{label}`` for its label.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"templates", "attributes"})
    uses_shots: ClassVar[bool] = False

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        self._templates, self._attributes = config.templates or {}, config.attributes
        lacking = [label for label in task.labels if label not in self._templates]
        if lacking:
            raise ConfigError(
                f"generate.templates has no list for the label {lacking[0]!r}; the strategy "
                "'template' needs one for each label."
            )
        taken = {"index", "label"} & set(self._attributes)
        if taken:
            raise ConfigError(f"generate.attributes.{min(taken)} is reserved; choose another name.")
        for label, templates in self._templates.items():
            for template in templates:
                self._check(label, template)

    def _check(self, label: str, template: str) -> None:
        place = f"generate.templates.{label}: {template!r}"
        known = {"index", "label", *self._attributes}
        try:
            slots = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        except ValueError as error:
            raise ConfigError(f"{place}: {error}; write {{{{ for a brace of its own.") from error
        if slots - known:
            raise ConfigError(
                f"{place}: no values for the slots {sorted(slots - known)}; give them under "
                "[generate.attributes]."
            )

    def ask(self, row: RowId) -> Asked:
        """Fill in one row's template."""
        draws = row.draws("template")
        template = draws.choice(self._templates[row.slot])
        drawn = {name: draws.choice(values) for name, values in sorted(self._attributes.items())}
        return Asked(template.format(index=row.index, label=row.slot, **drawn), dict(drawn))
