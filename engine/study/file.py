"""A study with its tasks, and the file that it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.study.study import Study
from engine.tasks.task import Task


@dataclass(frozen=True)
class StudyFile:
    """A study with its tasks, by name in the study's order, and the file that it was read from."""

    study: Study
    tasks: Mapping[str, Task]
    path: Path

    @property
    def where(self) -> str:
        """What to call the file in messages."""
        return self.path.name

    @property
    def folder(self) -> Path:
        """What the study's relative paths are relative to."""
        return self.path.absolute().parent
