"""A task: its labels, its fields, how a row is worded, and where its gold rows are."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from engine.errors import ConfigError
from engine.plugins import did_you_mean
from engine.tasks.source import Column, Source
from engine.tasks.toml_files import Lines, Written, read_toml, resolve, validate

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SIMILAR = "It should resemble the example, but be new."
ABOUT = "Consider this topic: {topic}."


def _slots(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def _has_only(*known: str) -> AfterValidator:
    def check(text: str) -> str:
        unknown = _slots(text) - set(known)
        if unknown:
            hint = f"known: {sorted(known)}" if known else "it can have none"
            raise ValueError(f"it has the slots {sorted(unknown)}; {hint}")
        return text

    return AfterValidator(check)


def _topic_is_shown(text: str) -> str:
    if _slots(text) != {"topic"}:
        raise ValueError("its one slot must be {topic}")
    return text


def _label_is_named(text: str) -> str:
    if not {"label", "description"} & _slots(text):
        raise ValueError("it shows neither {label} nor {description}")
    return text


def _text_is_shown(text: str) -> str:
    if _slots(text) != {"text"}:
        raise ValueError("its one slot must be {text}")
    return text


Plain = Annotated[str, _has_only()]
Conditioned = Annotated[str, _has_only("label", "description"), AfterValidator(_label_is_named)]
About = Annotated[str, AfterValidator(_topic_is_shown)]


class Calls(Written):
    """How a pair is asked for in two calls: one field first, then the other, which belongs to it.

    Attributes:
        first: What the first call asks for, of which no label is known yet.
        field: The field that it writes.
        similar: What it says after an example (``one_shot``).
        topic: How it names a topic, with ``{topic}``.
        second: What the second call asks for, with ``{label}`` and, if wanted, ``{description}``;
            the first field stands before it.
        second_free: The same where the label is to be written too, without slots.
    """

    first: Plain
    field: Literal["text", "text_pair"]
    similar: Plain = SIMILAR
    topic: About = ABOUT
    second: Conditioned
    second_free: Plain | None = None


class Wording(Written):
    """How the task is put into words for an LLM.

    Attributes:
        request: What to write, with ``{label}`` and, if wanted, ``{description}``.
        row: How one row is shown, with ``{text}``, ``{label}`` and, for pairs, ``{text_pair}``.
        topic: How a topic is named, with ``{topic}``.
        similar: What is said of the row to write after one example (``one_shot``).
        free: What to write where the LLM chooses the label and writes it too; no slots.
        similar_free: What is said after one example then; it does not ask for the same label.
        similar_few: What is said after several examples (``few_shot``), if anything.
        rephrase: How to write ``{text}`` in other words, without knowing its label.
        topics: Of what kind the topics are that an LLM is asked to list.
        calls: How the fields of a pair are asked for one after the other, if they are.
    """

    request: Conditioned
    row: Annotated[str, _has_only("label", "description", "text", "text_pair")]
    topic: About = ABOUT
    similar: Plain = SIMILAR
    free: Plain | None = None
    similar_free: Plain = SIMILAR
    similar_few: Plain | None = None
    rephrase: Annotated[str, AfterValidator(_text_is_shown)] | None = None
    topics: Plain = "topics"
    calls: Calls | None = None


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
        if self.wording.calls and "text_pair" not in self.fields:
            raise ValueError("wording.calls is for pairs, and fields has no text_pair")
        return self

    @property
    def columns(self) -> list[Column]:
        """The columns that every gold row has."""
        return [*self.fields, "label"]

    @property
    def called_label(self) -> str:
        """What prompts and answers call the label: as ``wording.row`` does, or "Label"."""
        match = re.search(r"^([^\n:{}]+):\s*\{label\}", self.wording.row, re.MULTILINE)
        return match[1].strip() if match else "Label"

    def show(self, text: str, text_pair: str | None, label: str) -> str:
        """Return one row as it is shown in a prompt."""
        return self.wording.row.format(
            text=text, text_pair=text_pair, label=label, description=self.labels[label]
        )

    def request(self, label: str) -> str:
        """Return what an LLM is asked to write for ``label``, or ``-`` where none is asked."""
        return self.wording.request.format(label=label, description=self.labels.get(label, ""))


def builtin_tasks() -> dict[str, Path]:
    """Return the built-in tasks' names and files."""
    folder = Path(str(files("engine.tasks") / "catalog"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _task_file(name: str, folder: Path) -> Path:
    try:
        return resolve(name, folder)
    except ValueError as error:
        raise ConfigError(f"task is {name!r}: {error}.") from error


def load_task(name: str, folder: Path) -> Task:
    """Read a task.

    Args:
        name: A built-in task's name, or a task file's path (it ends with ``.toml``).
        folder: What a relative path is relative to.

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
    return validate(Task, read_toml(path), path.name, path.parent)


def placed(task: Task, splits: Mapping[Split, Source]) -> Task:
    """Return a task with other places for some of its splits."""
    return task.model_copy(update={"splits": {**task.splits, **splits}})
