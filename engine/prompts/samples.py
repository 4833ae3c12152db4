"""A prompt of each kind for a task, with stand-ins for the texts of real rows and of an LLM."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import NamedTuple

from engine.prompts.call import as_asked
from engine.prompts.classify import Classify
from engine.prompts.rephrase import Rephrase
from engine.prompts.second import Second
from engine.prompts.strategy import Origin, Shot, strategy_class
from engine.prompts.topic_list import TopicList
from engine.store.schema import NONE, RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task

SAMPLED = ("zero_shot", "topic", "one_shot", "few_shot")
ROWS = 6  # real rows that the examples are drawn from, or one for each label where these are more
TOPICS = 500  # how many an LLM is asked to list


class Sample(NamedTuple):
    """A prompt, and what it is for."""

    title: str
    text: str


def sample_prompts(task: Task, shots: Sequence[int] = (3,)) -> Iterator[Sample]:
    """Yield a prompt of each kind, for the task's first label.

    Args:
        task: The task.
        shots: With how many real rows few_shot is shown.
    """
    yield from _generating(task, shots, is_free=False)
    if task.wording.free:
        yield from _generating(task, shots, is_free=True)
    again, whole = as_asked(task, "rephrase", is_free=False), _origin(task, *task.fields)
    yield Sample("rephrase", Rephrase(again, lambda row: whole).ask(_row(task)).text)
    yield Sample("topics = {write = 500}", TopicList(task, TOPICS).ask(_row(task)).text)
    asked = _shot(task, "asked", "", "of the row to label")
    for count in (0, max(shots)):
        asks = Classify(task, stand_ins(task)[:count], lambda row: asked)
        yield Sample(f"baseline, shots = {count}", asks.ask(_row(task)).text)


def stand_ins(task: Task) -> list[Shot]:
    """Return what stands for real rows; it says so."""
    labels = islice(cycle(task.labels), max(ROWS, len(task.labels)))
    return [
        _shot(task, str(number), label, f"of real row {number}, labelled {label}")
        for number, label in enumerate(labels, start=1)
    ]


def _generating(task: Task, shots: Sequence[int], *, is_free: bool) -> Iterator[Sample]:
    """Yield the prompts that ask for rows; a first call is the same left to right."""
    manner = ", left to right" if is_free else ""
    calls = task.wording.calls
    for name in SAMPLED:
        if name == "few_shot":
            for count in shots:
                text = _asked(task, name, GenerateConfig(shots=count), is_free=is_free)
                yield Sample(f"few_shot, shots = {count}{manner}", text)
        elif not (calls and is_free):
            config = GenerateConfig(topics=["<a topic>"])
            call = ", first call" if calls else ""
            text = _asked(task, name, config, is_free=is_free)
            yield Sample(f"{name}{call}{manner}", text)
    if calls and (calls.second_free or not is_free):
        second = as_asked(task, "second", is_free=is_free)
        row = RowId("sample", NONE, 0) if is_free else _row(task)
        text = Second(task, second, lambda row: _origin(task, calls.field)).ask(row).text
        yield Sample(f"zero_shot, topic and one_shot, second call{manner}", text)


def _asked(task: Task, name: str, config: GenerateConfig, *, is_free: bool) -> str:
    kind = strategy_class(name)
    is_first = task.wording.calls is not None and getattr(kind, "asks_first", False)
    asked = as_asked(task, "first" if is_first else "whole", is_free=is_free)
    row = RowId("sample", NONE, 0) if is_free else _row(task)
    return kind(asked, config, stand_ins(task)).ask(row).text


def _row(task: Task) -> RowId:
    return RowId("sample", next(iter(task.labels)), 0)


def _shot(task: Task, name: str, label: str, of: str) -> Shot:
    texts = _texts(task, of)
    return Shot(name, label, texts["text"], texts.get("text_pair"))


def _origin(task: Task, *fields: str) -> Origin:
    texts = _texts(task, "of an earlier answer")
    return Origin("earlier", {field: texts[field] for field in fields}, {})


def _texts(task: Task, of: str) -> dict[str, str]:
    return {field: f"<{called.lower()} {of}>" for field, called in task.fields.items()}
