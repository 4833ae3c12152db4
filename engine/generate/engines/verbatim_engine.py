"""The prompt is the text: for templates, and for trying a study's plumbing without a model."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from engine.generate.engine import Completion, Prompt, Setup
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


class VerbatimEngine:
    """Answers each prompt with itself."""

    reads: ClassVar[frozenset[str]] = frozenset()
    starts_with: ClassVar[frozenset[str]] = frozenset()
    asks: ClassVar[bool] = True
    is_concurrent: ClassVar[bool] = False
    uses_gpu: ClassVar[bool] = False

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> None:
        """There is no model."""

    def __init__(self, setup: Setup) -> None:
        pass

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once."""
        for prompt in prompts:
            yield Completion(row=prompt.row, text=prompt.text, finish_reason="stop")

    def close(self) -> None:
        """Do nothing: what it holds ends with its process."""
