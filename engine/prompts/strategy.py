"""What a prompt is made of: the seam for strategies, and their table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from engine.plugins import PluginKind
from engine.store.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task

STRATEGIES: Mapping[str, str] = {
    "zero_shot": "engine.prompts.strategies.zero_shot:ZeroShot",
    "topic": "engine.prompts.strategies.topic:Topic",
    "one_shot": "engine.prompts.strategies.one_shot:OneShot",
    "few_shot": "engine.prompts.strategies.few_shot:FewShot",
    "template": "engine.prompts.strategies.template:Template",
}


@dataclass(frozen=True, slots=True)
class Shot:
    """A real row that a prompt may show; ``id`` is its name in the train split."""

    id: str
    label: str
    text: str
    text_pair: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """A generated row that another call goes on with.

    Attributes:
        id: The row's name.
        texts: What it has of the task's fields.
        attributes: What was drawn for its prompt.
    """

    id: str
    texts: Mapping[str, str]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One row's prompt, and what was drawn for it (JSON values, kept in the pool)."""

    text: str
    attributes: Mapping[str, Any]


class Asker(Protocol):
    """Words the prompts of a pool."""

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt. Same row, same prompt."""
        ...


class Strategy(Asker, Protocol):
    """Words the prompt of one row. Built once per recipe, from the recipe and its real rows.

    Attributes:
        reads: The fields of GenerateConfig that the strategy reads. One that reads ``labelling``
            can leave the label to the LLM: ``row.slot`` is ``-`` then, and the task's ``fields``
            hold the label too.
        uses_shots: Whether prompts show real rows.

    It may also say:

    Attributes:
        words: Further fields of the task's wording that it reads, beside ``request`` and ``row``.
        asks_first: Whether it can ask for the first field of a pair alone, where the task's wording
            has two calls (``row.slot`` is ``-`` then, unless it shows real rows); else it asks for
            whole pairs there too.
    """

    reads: ClassVar[frozenset[str]]
    uses_shots: ClassVar[bool]

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        """Take what every prompt needs; raise ConfigError if the recipe cannot be worded."""
        ...

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt; ``row.slot`` is the asked label. Same row, same prompt."""
        ...


def words_of(kind: type[Strategy]) -> frozenset[str]:
    """Return the fields of the wording that a strategy reads."""
    return frozenset({"request", "row"}) | getattr(kind, "words", frozenset())


NEEDS = ("reads", "uses_shots", "ask")


strategy_class = PluginKind[Strategy](
    "strategy", STRATEGIES, NEEDS, GenerateConfig.model_fields
).load
