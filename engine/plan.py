"""From a study to the graph of its steps: pools, views, training sets, runs.

Everything that can be wrong with a study is found here, before anything starts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.baselines import plan_baselines
from engine.curate.filter import filter_class
from engine.curate.view import View
from engine.diagnose.stage import Encoder
from engine.errors import ConfigError, DataError
from engine.fingerprint import Plain, content_hash, digest
from engine.generate.baseline import Baseline
from engine.generate.engine import engine_class, recipe_fields
from engine.generate.pool import Pool, shot_rows
from engine.mix.prior import quotas
from engine.mix.stage import Mix, TrainingSet
from engine.models import Model, resolve_adapter, resolve_model, resolve_precision
from engine.plugins import did_you_mean
from engine.prompts.strategy import strategy_class
from engine.study.config import CurateConfig, GenerateConfig, TrainConfig
from engine.study.factors import Condition, Readers, conditions
from engine.study.identity import (
    pool_fingerprint,
    pool_reads,
    run_fingerprint,
    run_reads,
    view_fingerprint,
    view_reads,
)
from engine.study.load import StudyFile
from engine.tasks.gold import Rows, load_gold, load_records
from engine.tasks.task import Split, Task
from engine.train.run import SCORED, Run
from engine.train.trainer import trainer_class, training_fields


@dataclass(frozen=True)
class Cell:
    """One condition under one replicate: one training set, and its runs.

    Attributes:
        condition: The condition.
        replicate: Number of the draw, from 0.
        mix: How to put its training set together.
        quotas: Accepted synthetic rows wanted of each label.
        real_seen: Real rows seen, in training or as shots in prompts: the larger of the two.
    """

    condition: Condition
    replicate: int
    mix: Mix
    quotas: Mapping[str, int]
    real_seen: int


@dataclass(frozen=True)
class Plan:
    """A study's steps.

    Attributes:
        file: The study.
        gold: The real rows, by split.
        records: Existing synthetic rows, by a hash of where they are read from.
        conditions: The conditions, in the order of the grid.
        cells: Each condition under each replicate.
        models: The classifiers, by name and revision.
        baselines: The pools of the LLM's own answers, none unless the study has ``[baseline]``.
        encoder: What looks at the views' rows; None unless the study has ``[diagnose]``.
    """

    file: StudyFile
    gold: Mapping[Split, Rows]
    records: Mapping[str, Rows]
    conditions: list[Condition]
    cells: list[Cell]
    models: Mapping[tuple[str, str], Model]
    baselines: list[Baseline]
    encoder: Encoder | None = None

    @property
    def views(self) -> list[View]:
        """Every view that a cell draws on, once."""
        views = [cell.mix.view for cell in self.cells if cell.mix.view]
        return list({view.fingerprint: view for view in views}.values())

    @property
    def pools(self) -> list[Pool]:
        """Every pool, once: those that views are made from, then those of the baselines."""
        recipes = {view.pool.fingerprint: view.pool for view in self.views}
        return [*recipes.values(), *self.baselines]

    def demand(self, view: View) -> dict[str, int]:
        """Return how many accepted rows of each label the cells want of a view, at most."""
        cells = [cell for cell in self.cells if cell.mix.view is view]
        return {label: max(cell.quotas[label] for cell in cells) for label in self.file.task.labels}

    def inputs(self) -> Iterator[Rows]:
        """Yield all rows that workers read from the store."""
        yield from self.gold.values()
        yield from self.records.values()

    def runs(self, cell: Cell, mix: Mix, rows: TrainingSet) -> list[Run]:
        """Return a cell's runs, now that its training set is known and how it was put together."""
        return [_run(self, cell, mix, rows, repeat) for repeat in range(self.repeats(cell))]

    def repeats(self, cell: Cell) -> int:
        """Return how often a cell is trained: once only if its trainer draws nothing."""
        draws = trainer_class(cell.condition.train.trainer).draws
        return self.file.study.repeats if draws else 1


def make_plan(file: StudyFile) -> Plan:
    """Plan a study.

    Raises:
        InputError: Anything about the study, its data or its models is wrong.
    """
    grid = conditions(file.study, file.folder, file.where, Readers(recipe_fields, training_fields))
    _check_labels(file, grid)
    for condition in grid:
        for name in condition.curate.filters if condition.curate else ():
            filter_class(name)
        if condition.generate:  # also where the engine reads no prompts: a misspelt name is one
            strategy_class(condition.generate.strategy)
    models = {
        (config.model, config.revision): resolve_model(config.model, config.revision, "train.model")
        for config in {_model_key(one.train): one.train for one in grid}.values()
    }
    gold = load_gold(file.task)
    records = _records(file.task, grid)
    graph = _Graph(file.task, gold, records)
    cells = [
        graph.cell(condition, replicate)
        for condition in grid
        for replicate in range(file.study.replicates)
    ]
    _check_amounts(file, cells, gold)
    pools = [cell.mix.view.pool for cell in cells if cell.mix.view]
    return Plan(
        file=file,
        gold=gold,
        records=records,
        conditions=grid,
        cells=cells,
        models=models,
        baselines=plan_baselines(file, pools, gold),
        encoder=_encoder(file),
    )


def _encoder(file: StudyFile) -> Encoder | None:
    config = file.study.diagnose
    if config is None:
        return None
    return Encoder(config, resolve_model(config.model, config.revision, "diagnose.model"))


class _Graph:
    """Pools and views as cells come to want them, each made once."""

    def __init__(self, task: Task, gold: Mapping[Split, Rows], records: Mapping[str, Rows]) -> None:
        self._task, self._gold, self._records = task, gold, records
        self._pools: dict[str, Pool] = {}
        self._known: dict[tuple[str, int], Pool] = {}
        self._views: dict[str, View] = {}
        self._shown: dict[tuple[int, int], str] = {}

    def cell(self, condition: Condition, replicate: int) -> Cell:
        labels = list(self._task.labels)
        view, seen = None, condition.mix.real
        if condition.generate and condition.curate:
            pool = self._pool(condition.generate, replicate)
            view = self._view(pool, condition.curate)
            if "shots" in pool.inputs:
                shown = min(condition.generate.shot_rows, self._gold["train"].table.num_rows)
                seen = max(seen, shown)
        mix = Mix(tuple(labels), condition.mix, replicate, view, self._gold["train"].name, {})
        wanted = quotas(labels, condition.mix.prior, condition.mix.quantity)
        return Cell(condition, replicate, mix, wanted, seen)

    def _pool(self, config: GenerateConfig, replicate: int) -> Pool:
        key = (digest(config.model_dump()), replicate)
        if key not in self._known:
            self._known[key] = self._planned(config, replicate)
        return self._known[key]

    def _planned(self, config: GenerateConfig, replicate: int) -> Pool:
        inputs, files, limits = dict[str, Plain](), dict[str, str](), dict[str, int]()
        engine = engine_class(config.engine)
        model = engine.model(self._task, config)
        if model:
            inputs["model"] = model.identity
        adapter = None
        if config.adapter and "adapter" in engine.reads:
            adapter = resolve_adapter(config.adapter)
            inputs["adapter"] = adapter.identity
        if config.records and "records" in engine.reads:
            records = self._records[_source_key(config)]
            inputs["records"], files["records"] = records.content, records.name
            limits = {label: records.count(label) for label in self._task.labels}
        if engine.asks and strategy_class(config.strategy).uses_shots:
            inputs["shots"] = self._shots(replicate, config.shot_rows)
            files["shots"] = self._gold["train"].name
        reads = pool_reads(self._task, config, recipe_fields(config), replicate, asks=engine.asks)
        identity = pool_fingerprint(reads, inputs)
        if identity not in self._pools:
            name = (config.strategy if engine.asks else config.engine).rpartition(":")[2]
            label = f"{self._task.name}-{name}"
            pool = Pool(
                fingerprint=identity,
                label=label,
                task=self._task,
                config=config,
                replicate=replicate,
                reads=reads,
                inputs=inputs,
                files=files,
                limits=limits,
                model=model,
                adapter=adapter,
            )
            if engine.asks:  # a recipe that cannot be worded is found here
                pool.strategy_on(self._gold["train"].table)
            self._pools[identity] = pool
        return self._pools[identity]

    def _shots(self, replicate: int, count: int) -> str:
        """Return the content hash of the real rows that prompts may show."""
        if (replicate, count) not in self._shown:
            rows = shot_rows(self._gold["train"].table, replicate, count)
            self._shown[replicate, count] = content_hash(
                [(row.label, row.text, row.text_pair) for row in rows]
            )
        return self._shown[replicate, count]

    def _view(self, pool: Pool, config: CurateConfig) -> View:
        kinds = [filter_class(name) for name in config.filters]
        compared = sorted({split for kind in kinds for split in kind.compares})
        fields = {field for kind in kinds for field in kind.reads}
        files: dict[Split, str] = {split: self._gold[split].name for split in compared}
        inputs = {"pool": pool.fingerprint}
        inputs |= {str(split): self._gold[split].content for split in compared}
        reads = view_reads(self._task, config, fields)
        identity = view_fingerprint(reads, inputs)
        view = View(identity, pool, config, reads, inputs, files)
        return self._views.setdefault(identity, view)


def _run(plan: Plan, cell: Cell, mix: Mix, rows: TrainingSet, repeat: int) -> Run:
    config, task = cell.condition.train, plan.file.task
    model = plan.models[_model_key(config)]
    fields, draws = training_fields(config), trainer_class(config.trainer).draws
    precision = resolve_precision(config.precision) if "precision" in fields else "float32"
    reads = run_reads(
        list(task.labels), config, fields, model.identity, precision, repeat if draws else None
    )
    inputs: dict[str, Plain] = {"training_set": rows.content, "synthetic": rows.synthetic}
    inputs |= {str(split): plan.gold[split].content for split in SCORED}
    return Run(
        fingerprint=run_fingerprint(reads, inputs),
        label=f"{task.name}-{rows.synthetic}+{rows.real}" + (f"-{repeat}" if draws else ""),
        mix=mix,
        content=rows.content,
        config=config,
        model=model,
        precision=precision,
        repeat=repeat,
        scored={split: plan.gold[split].name for split in SCORED},
        reads=reads,
        inputs=inputs,
    )


def _model_key(config: TrainConfig) -> tuple[str, str]:
    return config.model, config.revision


def _records(task: Task, grid: list[Condition]) -> dict[str, Rows]:
    """Read the records of every recipe that replays some."""
    found: dict[str, Rows] = {}
    for condition in grid:
        config = condition.generate
        if config is None or "records" not in engine_class(config.engine).reads:
            continue
        if config.records is None:
            raise ConfigError(
                f"The engine {config.engine!r} replays existing rows: say which, with "
                'generate.records = "rows.jsonl".'
            )
        key = _source_key(config)
        if key not in found:
            found[key] = load_records(config.records, task)
    return found


def _source_key(config: GenerateConfig) -> str:
    return digest(config.records.model_dump() if config.records else None)


def _check_labels(file: StudyFile, grid: list[Condition]) -> None:
    known = file.task.labels
    for condition in grid:
        prior, config = condition.mix.prior, condition.generate
        named = {"mix.prior": list(prior)}
        named["generate.templates"] = list(config.templates or {}) if config else []
        weights = condition.train.class_weights
        named["train.class_weights"] = [] if isinstance(weights, str) else list(weights)
        for field, labels in named.items():
            for label in labels:
                if label not in known:
                    hint = did_you_mean(label, known)
                    raise ConfigError(
                        f"{file.where}: {field} has the unknown label {label!r}.{hint}"
                    )
        lacking = [label for label in known if prior and label not in prior]
        if lacking:
            raise ConfigError(
                f"{file.where}: mix.prior gives no weight to the label {lacking[0]!r}."
            )


def _check_amounts(file: StudyFile, cells: list[Cell], gold: Mapping[Split, Rows]) -> None:
    have = gold["train"].table.num_rows
    lacking = [label for label in file.task.labels if not gold["train"].count(label)]
    for cell in cells:
        if cell.condition.mix.real and lacking:
            raise DataError(
                f"{file.where}: real is {cell.condition.mix.real}, but the train split of "
                f"{file.task.name!r} has no rows labelled {lacking[0]!r}."
            )
        if cell.condition.mix.real > have:
            raise DataError(
                f"{file.where}: real is {cell.condition.mix.real}, but the train split of "
                f"{file.task.name!r} has only {have} rows."
            )
        limits = cell.mix.view.pool.limits if cell.mix.view else {}
        for label, limit in limits.items():
            if cell.quotas[label] > limit:
                raise DataError(
                    f"{file.where}: quantity {cell.condition.mix.quantity} needs "
                    f"{cell.quotas[label]} rows of {label!r}, but only {limit} are recorded in "
                    f"{cell.condition.generate and cell.condition.generate.records}."
                )
