"""The graph of pools and views: each recipe's calls, and what they are made from."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.curate.filter import filter_class
from engine.errors import ConfigError
from engine.fingerprint import Plain, content_hash, digest
from engine.generate.engine import engine_class, recipe_fields
from engine.models import Model, resolve_adapter
from engine.prompts.call import Call, as_asked
from engine.prompts.strategy import strategy_class, words_of
from engine.steps.identity import (
    pool_fingerprint,
    pool_reads,
    topics_fingerprint,
    topics_reads,
    view_fingerprint,
    view_reads,
)
from engine.steps.parent import Parent
from engine.steps.pool import Pool, shot_rows
from engine.steps.topics import TopicPool
from engine.steps.view import View
from engine.store.schema import NONE
from engine.study.config import CurateConfig, GenerateConfig, WrittenTopics
from engine.tasks.gold import Rows
from engine.tasks.task import Split, Task


@dataclass
class _Parts:
    """What a pool is put together from, as it is found.

    Attributes:
        inputs: What identifies it, by role.
        files: The store's files with it, by role.
        limits: How many rows of a slot there can be.
    """

    inputs: dict[str, Plain] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    model: Model | None = None
    adapter: Model | None = None


class Graph:
    """Pools and views as cells come to want them, each made once.

    Args:
        tasks: The tasks, by name.
        gold: The real rows, by task and split.
        records: Existing synthetic rows, by task and ``source_key``.

    Attributes:
        ancestors: The views that pools are made from, by fingerprint.
        topic_pools: The pools of answers that lists of topics are made of, by fingerprint.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        gold: Mapping[str, Mapping[Split, Rows]],
        records: Mapping[tuple[str, str], Rows],
    ) -> None:
        self.tasks, self.gold, self._records = tasks, gold, records
        self.ancestors: dict[str, View] = {}
        self.topic_pools: dict[str, TopicPool] = {}
        self._pools: dict[str, Pool] = {}
        self._views: dict[str, View] = {}
        self._known: dict[tuple[str, str, int], View] = {}
        self._shown: dict[tuple[str, int, int], str] = {}

    @property
    def pools(self) -> list[Pool]:
        """Every pool of rows so far."""
        return list(self._pools.values())

    def view(
        self, task: Task, config: GenerateConfig, curate: CurateConfig, replicate: int
    ) -> View:
        """Return the view that a recipe ends with, after every call that its rows take.

        Raises:
            InputError: The recipe cannot be worded, or made.
        """
        key = (task.name, digest([config.model_dump(), curate.model_dump()]), replicate)
        if key not in self._known:
            view: View | None = None
            _check_calls(task, config)
            for call in _calls(task, config):
                if view:
                    self.ancestors[view.fingerprint] = view
                pool = self._pool(task, config, replicate, call, view)
                view = self._curated(pool, curate)
            assert view is not None, "a recipe has one call at least"
            self._known[key] = view
        return self._known[key]

    def roles(self, view: View) -> set[str]:
        """Return the roles of all that a view comes from: "shots", "records" and the like."""
        roles: set[str] = set()
        while True:
            roles |= set(view.pool.inputs)
            if view.pool.parent is None:
                return roles
            view = self.ancestors[view.pool.parent.fingerprint]

    def _pool(
        self, task: Task, config: GenerateConfig, replicate: int, call: Call, before: View | None
    ) -> Pool:
        engine = engine_class(config.engine)
        is_free = "labelling" in recipe_fields(config) and config.labelling == "left_to_right"
        parts = self._asked(task, config)
        parent = _parent(before, task, is_free, call) if before else None
        if parent:
            parts.inputs["parent"] = parent.fingerprint
        elif engine.asks:
            self._add_shown(parts, task, config, replicate)
        asked, fields, words = _READ_BY[call](task, config, is_free)
        reads = pool_reads(asked, config, fields, replicate, words=words if engine.asks else None)
        if call != "whole":  # a recipe of one call says nothing of it
            reads["call"] = call
        pool = Pool(
            fingerprint=pool_fingerprint(reads, parts.inputs),
            label=_label(task, config, call),
            task=task,
            config=config,
            replicate=replicate,
            reads=reads,
            inputs=parts.inputs,
            files=parts.files,
            limits=parts.limits,
            model=parts.model,
            adapter=parts.adapter,
            call=call,
            is_free=is_free,
            parent=parent,
        )
        return self._known_pool(pool)

    def _known_pool(self, pool: Pool) -> Pool:
        if pool.fingerprint not in self._pools:
            if engine_class(pool.config.engine).asks and not pool.parent:
                # a recipe that cannot be worded is found here
                topics = ["a topic"] if "topics" in pool.files else None
                pool.strategy_on(self.gold[pool.task.name]["train"].table, topics)
            self._pools[pool.fingerprint] = pool
        return self._pools[pool.fingerprint]

    def _asked(self, task: Task, config: GenerateConfig) -> _Parts:
        """Find what every call of a recipe asks, or replays."""
        parts, engine = _Parts(), engine_class(config.engine)
        parts.model = engine.model(task, config)
        if parts.model:
            parts.inputs["model"] = parts.model.identity
        if config.adapter and "adapter" in engine.reads:
            parts.adapter = resolve_adapter(config.adapter)
            parts.inputs["adapter"] = parts.adapter.identity
        if config.records and "records" in engine.reads:
            records = self._records[task.name, source_key(config)]
            parts.inputs["records"], parts.files["records"] = records.content, records.name
            parts.limits = {label: records.count(label) for label in task.labels}
        return parts

    def _add_shown(self, parts: _Parts, task: Task, config: GenerateConfig, replicate: int) -> None:
        """Find the real rows and the topics that the prompts of a first or only call show."""
        kind = strategy_class(config.strategy)
        if kind.uses_shots:
            parts.inputs["shots"] = self._shots(task, replicate, config.shot_rows)
            parts.files["shots"] = self.gold[task.name]["train"].name
        if "topics" in kind.reads and isinstance(config.topics, WrittenTopics):
            listed = self._listed(task, config, config.topics.write, replicate)
            parts.inputs["topics"], parts.files["topics"] = listed.fingerprint, listed.file

    def _listed(self, task: Task, config: GenerateConfig, count: int, replicate: int) -> TopicPool:
        """Return the pool of the topics that the recipe's LLM lists."""
        # what ends or stretches a row's text is not meant for a list
        config = config.model_copy(update={"stop": [], "min_tokens": 0})
        parts, engine = self._asked(task, config), engine_class(config.engine)
        reads = topics_reads(task, config, {"engine", *engine.reads}, count, replicate)
        pool = TopicPool(
            fingerprint=topics_fingerprint(reads, parts.inputs),
            label=f"topics-{re.sub(r'[^A-Za-z0-9]+', '-', task.wording.topics).strip('-')[:40]}",
            task=task,
            config=config,
            replicate=replicate,
            reads=reads,
            inputs=parts.inputs,
            files={},
            limits={},
            model=parts.model,
            adapter=parts.adapter,
            count=count,
        )
        return self.topic_pools.setdefault(pool.fingerprint, pool)

    def _shots(self, task: Task, replicate: int, count: int) -> str:
        """Return the content hash of the real rows that prompts may show."""
        key = (task.name, replicate, count)
        if key not in self._shown:
            rows = shot_rows(self.gold[task.name]["train"].table, replicate, count)
            self._shown[key] = content_hash([(row.label, row.text, row.text_pair) for row in rows])
        return self._shown[key]

    def _curated(self, pool: Pool, config: CurateConfig) -> View:
        kinds = [filter_class(name) for name in config.filters]
        compared = sorted({split for kind in kinds for split in kind.compares})
        fields = {field for kind in kinds for field in kind.reads}
        gold = self.gold[pool.task.name]
        files: dict[Split, str] = {split: gold[split].name for split in compared}
        inputs = {"pool": pool.fingerprint}
        inputs |= {str(split): gold[split].content for split in compared}
        reads: dict[str, Any] = view_reads(pool.task, config, fields)
        identity = view_fingerprint(reads, inputs)
        view = View(identity, pool, config, reads, inputs, files)
        return self._views.setdefault(identity, view)


def source_key(config: GenerateConfig) -> str:
    """Return what tells the records of recipes apart: a hash of where they are read from."""
    return digest(config.records.model_dump() if config.records else None)


def _calls(task: Task, config: GenerateConfig) -> Iterator[Call]:
    """Yield the calls that a row of a recipe takes, in order."""
    kind = strategy_class(config.strategy)
    asks = engine_class(config.engine).asks
    if asks and task.wording.calls and getattr(kind, "asks_first", False):
        yield from ("first", "second")
    else:
        yield "whole"
    if asks and config.rephrase:
        yield "rephrase"


def _check_calls(task: Task, config: GenerateConfig) -> None:
    """Refuse further calls of what cannot answer them.

    Raises:
        ConfigError: The engine asks no model, or its answers are held to a form for one call.
    """
    engine = engine_class(config.engine)
    if not engine.asks:
        return
    is_listed = "topics" in recipe_fields(config) and isinstance(config.topics, WrittenTopics)
    further = ["generate.rephrase"] if config.rephrase else []
    further += ["generate.topics = {write = ...}"] if is_listed else []
    if further and engine.model(task, config) is None:
        raise ConfigError(
            f"{further[0]} has a model asked once more, and the engine {config.engine!r} asks none."
        )
    calls = list(_calls(task, config))
    if config.structured and "structured" in engine.reads and (is_listed or len(calls) > 1):
        raise ConfigError(
            "generate.structured holds every answer to one form, but the rows of this recipe take "
            f"several calls ({', '.join(calls)}{', topics' if is_listed else ''}); take it out."
        )


class _Read(NamedTuple):
    """What a call reads of its task and its recipe: what its pool is identified by.

    Attributes:
        asked: The task as the call sees it.
        fields: The fields of the recipe.
        words: The fields of the task's wording that prompts are made of.
    """

    asked: Task
    fields: set[str]
    words: Collection[str]


def _read_whole(task: Task, config: GenerateConfig, is_free: bool) -> _Read:
    """Return what the only call of a row reads: its whole recipe."""
    asked = as_asked(task, "whole", is_free=is_free)
    fields = recipe_fields(config) - {"rephrase"}
    return _Read(asked, fields, words_of(strategy_class(config.strategy)))


def _read_first(task: Task, config: GenerateConfig, is_free: bool) -> _Read:
    """Return what the first of two calls reads: labels only if shots show them."""
    asked, fields = as_asked(task, "first", is_free=is_free), recipe_fields(config) - {"rephrase"}
    strategy = strategy_class(config.strategy)
    if not strategy.uses_shots:  # its prompts show no label, whoever will choose one
        asked, fields = asked.model_copy(update={"labels": {}}), fields - {"labelling"}
    return _Read(asked, fields, words_of(strategy))


def _read_second(task: Task, config: GenerateConfig, is_free: bool) -> _Read:
    """Return what the second of two calls reads, beside its parent."""
    asked = as_asked(task, "second", is_free=is_free)
    return _Read(asked, _further_fields(config), {"request", "row"})


def _read_rephrase(task: Task, config: GenerateConfig, is_free: bool) -> _Read:
    """Return what a call reads that words a row anew: its parent has the label already."""
    asked = as_asked(task, "rephrase", is_free=False)
    return _Read(asked, _further_fields(config), {"request", "row"})


_READ_BY: Mapping[Call, Callable[[Task, GenerateConfig, bool], _Read]] = {
    "whole": _read_whole,
    "first": _read_first,
    "second": _read_second,
    "rephrase": _read_rephrase,
}


def _further_fields(config: GenerateConfig) -> set[str]:
    """Return the fields of a recipe that a call with a parent reads.

    The strategy's own are not among them: the parent was made by these, and its fingerprint holds
    them. Who chooses the label still matters.
    """
    of_strategy = {"strategy", *strategy_class(config.strategy).reads} - {"labelling"}
    return recipe_fields(config) - {"rephrase"} - (of_strategy - engine_class(config.engine).reads)


def _parent(before: View, task: Task, is_free: bool, call: Call) -> Parent:
    """Return a view as what another call goes on with."""
    turns = [NONE] if is_free and call != "rephrase" else list(task.labels)
    return Parent(
        fingerprint=before.fingerprint,
        folder=before.folder,
        slots=before.pool.slots,
        labels=before.labels,
        turns=turns,
    )


def _label(task: Task, config: GenerateConfig, call: Call) -> str:
    asks = engine_class(config.engine).asks
    name = (config.strategy if asks else config.engine).rpartition(":")[2]
    after = {"first": "-first", "rephrase": "-rephrased"}.get(call, "")
    return f"{task.name}-{name}{after}"
