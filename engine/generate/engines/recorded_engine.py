"""Existing synthetic rows, replayed as if they were generated: bring your own data."""

import json
from collections.abc import Iterable, Iterator
from typing import ClassVar

from engine.generate.engine import Completion, Prompt, Setup
from engine.steps.pool import Pool
from engine.study.config import GenerateConfig
from engine.tasks.gold import load_rows
from engine.tasks.task import Task


class RecordedEngine:
    """Answers row ``index`` of a label with that label's record number ``index``, in file order."""

    reads: ClassVar[frozenset[str]] = frozenset({"records"})
    starts_with: ClassVar[frozenset[str]] = frozenset()
    asks: ClassVar[bool] = False
    is_concurrent: ClassVar[bool] = False
    uses_gpu: ClassVar[bool] = False

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> None:
        """There is no model."""

    def __init__(self, setup: Setup) -> None:
        self._store = setup.store
        self._texts: dict[str, dict[str, list[str]]] = {}

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once."""
        for prompt in prompts:
            texts = self._records(prompt.pool).get(prompt.row.slot, [])
            if prompt.row.index < len(texts):
                text = texts[prompt.row.index]
                yield Completion(row=prompt.row, text=text, finish_reason="stop")
            else:
                error = f"no record left: {len(texts)} of {prompt.row.slot!r} are recorded"
                yield Completion(row=prompt.row, text="", error=error)

    def _records(self, pool: Pool) -> dict[str, list[str]]:
        name = pool.files["records"]
        if name not in self._texts:
            by_label: dict[str, list[str]] = {label: [] for label in pool.task.labels}
            for row in load_rows(self._store, name).to_pylist():
                by_label[row["label"]].append(_completion(row["text"], row["text_pair"]))
            self._texts[name] = by_label
        return self._texts[name]

    def close(self) -> None:
        """Do nothing: what it holds ends with its process."""


def _completion(text: str, text_pair: str | None) -> str:
    """Return a record as a completion; a pair as JSON, so that no text can break the form."""
    if text_pair is None:
        return text
    return json.dumps({"text": text, "text_pair": text_pair}, ensure_ascii=False)
