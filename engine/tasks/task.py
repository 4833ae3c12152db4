"""A task: its labels, its fields, how a row is worded, and where its gold rows are."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from engine.errors import ConfigError
from engine.plugins import did_you_mean
from engine.tasks.reading import Lines, Written, read_toml, resolve, validate
from engine.tasks.source import Column, Source

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Wording(Written):
    """How the task is put into words for an LLM.

    Attributes:
        request: What to write, with ``{label}`` and, if wanted, ``{description}``.
        row: How one row is shown, with ``{text}``, ``{label}`` and, for pairs, ``{text_pair}``.
        topic: How a topic is named, with ``{topic}``.
    """

    request: str
    row: str
    topic: str = "Consider this topic: {topic}."

    @field_validator("request", "row")
    @classmethod
    def _slots_are_known(cls, text: str) -> str:
        known = {"label", "description", "text", "text_pair"}
        unknown = {name for _, name, _, _ in Formatter().parse(text) if name is not None} - known
        if unknown:
            raise ValueError(f"it has the slots {sorted(unknown)}; known: {sorted(known)}")
        return text

    @field_validator("topic")
    @classmethod
    def _topic_is_shown(cls, text: str) -> str:
        if {name for _, name, _, _ in Formatter().parse(text) if name is not None} != {"topic"}:
            raise ValueError("its one slot must be {topic}")
        return text


class Task(Written):
    """What is to be classified.

    Attributes:
        name: A short name: small letters, digits, ``-`` and ``_``.
        labels: Each label with one line that says what it means; their order is the task's.
        fields: The row's fields and how each is called in prompts and answers.
        wording: How the task is put to an LLM.
        topics: What rows can be about, for the strategy ``topic``: a list, or a file of lines.
        label_name_leaks: Whether a text that names its own label gives the answer away.
        trivial_words: Words of the first text that give a label away, such as those that Li et al.
            2024 (arXiv:2407.12813, beside table 3) list for BoolQ: not, significant, only, just,
            few, little. Rows that hold one are counted (``[diagnose]``), and not refused.
        splits: Where train, validation and test rows are.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    labels: dict[str, str] = Field(min_length=2)
    fields: dict[Literal["text", "text_pair"], str] = Field(min_length=1)
    wording: Wording
    topics: Lines | None = None
    label_name_leaks: bool = False
    trivial_words: list[Annotated[str, Field(pattern=r"^\S(.*\S)?$")]] = []
    splits: dict[Split, Source] = {}

    @field_validator("wording")
    @classmethod
    def _request_names_the_label(cls, wording: Wording) -> Wording:
        if not {"{label}", "{description}"} & set(re.findall(r"\{\w+\}", wording.request)):
            raise ValueError("request shows neither {label} nor {description}")
        return wording

    @model_validator(mode="after")
    def _is_consistent(self) -> "Task":
        if "text" not in self.fields:
            raise ValueError("fields must name 'text'")
        wanted = {"label", *self.fields}
        slots = {name for _, name, _, _ in Formatter().parse(self.wording.row) if name}
        if wanted - slots:
            raise ValueError(f"wording.row does not show {sorted(wanted - slots)}")
        if "-" in self.labels:
            raise ValueError("the label '-' is reserved for rows that are asked without a label")
        if any(not label.strip() for label in self.labels):
            raise ValueError("a label's name is empty")
        return self

    @property
    def columns(self) -> list[Column]:
        """The columns that every gold row has."""
        return [*self.fields, "label"]

    def show(self, text: str, text_pair: str | None, label: str) -> str:
        """Return one row as it is shown in a prompt."""
        return self.wording.row.format(
            text=text, text_pair=text_pair, label=label, description=self.labels[label]
        )

    def request(self, label: str) -> str:
        """Return what an LLM is asked to write for ``label``."""
        return self.wording.request.format(label=label, description=self.labels[label])


def builtin_tasks() -> dict[str, Path]:
    """Return the built-in tasks' names and files."""
    folder = Path(str(files("engine.tasks") / "catalog"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _task_file(name: str, folder: Path) -> Path:
    try:
        return resolve(name, folder)
    except ValueError as error:
        raise ConfigError(f"task is {name!r}: {error}.") from error


def load_task(name: str, folder: Path, splits: Mapping[Split, Source] | None = None) -> Task:
    """Read a task.

    Args:
        name: A built-in task's name, or a task file's path (it ends with ``.toml``).
        folder: What a relative path is relative to.
        splits: Places that replace the task's own.

    Raises:
        ConfigError: There is no such task, or its file is wrong.
    """
    known = builtin_tasks()
    if name.endswith(".toml"):
        path = _task_file(name, folder)
    elif name in known:
        path = known[name]
    else:
        raise ConfigError(
            f"There is no task named {name!r}.{did_you_mean(name, known)} "
            "For one of your own, give the path of its .toml file."
        )
    task = validate(Task, read_toml(path), path.name, path.parent)
    return task.model_copy(update={"splits": {**task.splits, **(splits or {})}})
