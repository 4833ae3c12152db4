"""A study as its file says it: the sections together, with what varies."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from engine.store.schema import Metric
from engine.study.config import (
    BaselineConfig,
    CurateConfig,
    DiagnoseConfig,
    GenerateConfig,
    MixConfig,
    TrainConfig,
)
from engine.study.resources import Annotation, Budget, Quota, Resources
from engine.study.search_config import Levels, Range, SearchConfig
from engine.tasks.source import Source
from engine.tasks.task import SPLITS, Split, Task
from engine.tasks.toml_files import Written


def _kind_of_splits(value: Any) -> str:  # noqa: ANN401 - whatever stood in the file
    keys = value if isinstance(value, dict) else {}
    is_by_task = bool(keys) and all(isinstance(entry, dict) for entry in keys.values())
    return "as-tasks" if is_by_task and not set(keys) & set(SPLITS) else "as-splits"


Splits = Annotated[
    Annotated[dict[Split, Source], Tag("as-splits")]
    | Annotated[dict[str, dict[Split, Source]], Tag("as-tasks")],
    Discriminator(_kind_of_splits),
]


def _listed(value: Any) -> Any:  # noqa: ANN401 - as above
    return [value] if isinstance(value, str) else value


class Study(Written):
    """One study: what varies, what is fixed, and how often each condition is repeated.

    Attributes:
        name: Names the folder of its results.
        task: A built-in task, or the path of a task file; or a list of them, which makes ``task`` a
            factor: every task has every cell of the grid, if it is not left out.
        splits: Places of the gold rows (train, validation, test) that replace the task's own; of
            several tasks, by name, as in ``[splits.sst2]``.
        metric: What conditions are compared by: the best is chosen by it on validation. Results
            hold both.
        repeats: Trainings of each condition, which differ in their seed.
        replicates: Independent draws of everything random in the data.
        generate: How synthetic rows are made.
        curate: Which rows are accepted.
        mix: What a training set is made of.
        train: How a classifier is trained.
        resources: Where and how wide; never part of a result's identity.
        quota: How hard to try for the rows that were asked for.
        budget: What generating the rows may take.
        annotation: What it is to label real rows, which synthetic ones are weighed against.
        baseline: How the LLM itself is asked for the labels; not at all if absent.
        diagnose: How synthetic rows are looked at; not at all if absent.
        factors: What varies. A field of ``[generate]``, ``[curate]``, ``[mix]`` or ``[train]`` with
            its levels, dotted (``"train.steps"``) where its name alone is ambiguous; or a name of
            your own with bundled levels, ``[[factors.NAME]]``, each of which has a ``name``; for a
            search also a field with a range.
        search: How ``textmill search`` tries the factors out.
        exclude: Cells of the grid to leave out: for each factor named, a level or a list of them.
        published: Published numbers that the report sets beside the study's own: a built-in file's
            name, such as "li2024", or the path of one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    task: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
    splits: Splits = {}
    metric: Metric = "accuracy"
    repeats: int = Field(3, ge=1)
    replicates: int = Field(1, ge=1)
    generate: GenerateConfig = GenerateConfig()
    curate: CurateConfig = CurateConfig()
    mix: MixConfig = MixConfig()
    train: TrainConfig = TrainConfig()
    resources: Resources = Resources()
    quota: Quota = Quota()
    budget: Budget = Budget()
    annotation: Annotation = Annotation()
    baseline: BaselineConfig | None = None
    diagnose: DiagnoseConfig | None = None
    factors: dict[str, Levels] = {}
    search: SearchConfig = SearchConfig()
    exclude: list[dict[str, Any]] = []
    published: str | None = None

    @field_validator("task")
    @classmethod
    def _tasks_are_named(cls, task: list[str]) -> list[str]:
        if not all(re.search(r"\S", name) for name in task):
            raise ValueError("name a built-in task or a task file")
        return task

    @property
    def has_ranges(self) -> bool:
        """Whether a factor has a range, so that only a search can try it."""
        return any(isinstance(levels, Range) for levels in self.factors.values())

    @property
    def varied(self) -> list[str]:
        """The factors' names, ``task`` among them if there are several tasks."""
        return [*(["task"] if len(self.task) > 1 else []), *self.factors]


Section = Literal["generate", "curate", "mix", "train"]
SECTIONS: dict[Section, type[Written]] = {
    "generate": GenerateConfig,
    "curate": CurateConfig,
    "mix": MixConfig,
    "train": TrainConfig,
}


assert set(SECTIONS) == set(get_args(Section))


@dataclass(frozen=True)
class StudyFile:
    """A study with its tasks, by name in the study's order, and the file that it was read from."""

    study: Study
    tasks: Mapping[str, Task]
    path: Path

    @property
    def source(self) -> str:
        """What to call the file in messages."""
        return self.path.name

    @property
    def folder(self) -> Path:
        """What the study's relative paths are relative to."""
        return self.path.absolute().parent
