"""Zero-shot prompts that name a topic, so that rows differ by more than the sampling.

Source: Li et al. 2024, arXiv:2407.12813, section 3 and appendix A (zero-shot topic). There the
topics come from an LLM, in a call beforehand; here from a list that the task or the study gives, or
that the LLM writes (``topic_list``). Each row draws one.
"""

from collections.abc import Sequence
from typing import ClassVar

from engine.errors import ConfigError
from engine.prompts.phrases import request
from engine.prompts.strategy import Asked, Shot
from engine.store.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


class Topic:
    """Asks for one row of the slot's label on a topic drawn for it."""

    reads: ClassVar[frozenset[str]] = frozenset({"topics", "labelling"})
    uses_shots: ClassVar[bool] = False
    asks_first: ClassVar[bool] = True
    words: ClassVar[frozenset[str]] = frozenset({"topic"})

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        self._task = task
        configured = config.topics if isinstance(config.topics, list) else None
        self._topics = configured or task.topics or []
        if not self._topics:
            raise ConfigError(
                f"The strategy 'topic' needs topics, and the task {task.name!r} has none: give "
                'generate.topics = "topics.txt" (a topic on each line), a list of them, or '
                "{write = 500}, which has the LLM list so many."
            )

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt."""
        topic = row.draws("topic").choice(self._topics)
        hint = self._task.wording.topic.format(topic=topic)
        return Asked(request(self._task, row.slot, hint), {"topic": topic})
