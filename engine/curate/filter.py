"""Which rows are refused, and why: the seam for row filters, and their table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from engine.plugins import PluginKind
from engine.study.config import CurateConfig
from engine.tasks.task import Split, Task

FILTERS: Mapping[str, str] = {
    "refusal": "engine.curate.filters.refusal:Refusal",
    "length": "engine.curate.filters.length:Length",
    "duplicate": "engine.curate.filters.copies:Duplicate",
    "shot_copy": "engine.curate.filters.copies:ShotCopy",
    "gold_copy": "engine.curate.filters.copies:GoldCopy",
    "label_name": "engine.curate.filters.label_name:LabelName",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A parsed row.

    Attributes:
        label: The label it was asked for, or was given by the LLM; ``-`` if it has none yet.
        text: Its text.
        text_pair: Its second text, where the task has one.
        normalised: Both texts made comparable.
        completion: The raw completion.
        shots: The ids of the real rows in its own prompt.
    """

    label: str
    text: str
    text_pair: str | None
    normalised: str
    completion: str
    shots: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """What a filter is built from.

    Attributes:
        task: The task.
        config: The curation recipe.
        gold: The normalised texts of the splits that it ``compares`` with, by row id.
    """

    task: Task
    config: CurateConfig
    gold: Mapping[Split, Mapping[str, str]]


class RowFilter(Protocol):
    """Judges one slot's rows in the order of their index; built anew for each slot.

    A slot is a label, or ``-`` where the LLM chooses the labels: then rows of all labels come.

    It sees every parsed row, also those that other filters refuse, and may look at the row, at
    fixed inputs, and at earlier rows: so its answer for a row never changes as the pool grows.

    Attributes:
        reads: The fields of CurateConfig that it reads.
        compares: The gold splits that it compares with.
        remembers: Whether its answer depends on earlier rows.
    """

    reads: ClassVar[frozenset[str]]
    compares: ClassVar[frozenset[Split]]
    remembers: ClassVar[bool]

    def __init__(self, context: Context) -> None: ...

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None.

        A filter that raises, or answers something else, refuses the row for that very reason.
        """
        ...


NEEDS = ("reads", "compares", "remembers", "__call__")


filter_class = PluginKind[RowFilter]("row filter", FILTERS, NEEDS, CurateConfig.model_fields).load
