"""From a study to the graph of its steps: pools, views, training sets, runs.

Everything that can be wrong with a study is found here, before anything starts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from engine.curate.filter import filter_class
from engine.errors import ConfigError
from engine.fingerprint import Plain
from engine.generate.engine import engine_class, recipe_fields
from engine.mix.prior import quotas
from engine.models import Model, resolve_model, resolve_precision
from engine.plan.baselines import plan_baselines
from engine.plan.cell import Cell
from engine.plan.checks import check_amounts, check_labels
from engine.plan.graph import Graph, source_key
from engine.prompts.strategy import strategy_class
from engine.steps.baseline import Baseline
from engine.steps.examination import Encoder
from engine.steps.identity import ResolvedTraining, run_fingerprint, run_reads
from engine.steps.mix import Mix, Outline
from engine.steps.pool import Pool
from engine.steps.run import SCORED, Run
from engine.steps.topics import TopicPool
from engine.steps.view import View
from engine.study.config import TrainConfig, resolved_steps
from engine.study.factors import Condition, Readers, conditions
from engine.study.published.reading import Published, load_published
from engine.study.study import StudyFile
from engine.tasks.gold import Rows, load_gold, load_records
from engine.tasks.task import Split
from engine.train.trainer import trainer_class, training_fields


@dataclass(frozen=True)
class Plan:
    """A study's steps.

    Attributes:
        file: The study.
        gold: The real rows, by task and split.
        records: Existing synthetic rows, by task and a hash of where they are read from.
        conditions: The conditions, in the order of the grid.
        cells: Each condition under each replicate.
        models: The classifiers, by name and revision.
        baselines: The pools of the LLM's own answers, none unless the study has ``[baseline]``.
        ancestors: The views that pools are made from, by fingerprint.
        topic_pools: The pools of answers that lists of topics are made of.
        published: Numbers that the report sets beside the study's own.
        encoder: What looks at the views' rows; None unless the study has ``[diagnose]``.
    """

    file: StudyFile
    gold: Mapping[str, Mapping[Split, Rows]]
    records: Mapping[tuple[str, str], Rows]
    conditions: list[Condition]
    cells: list[Cell]
    models: Mapping[tuple[str, str], Model]
    baselines: list[Baseline]
    ancestors: Mapping[str, View]
    topic_pools: list[TopicPool]
    published: Published | None = None
    encoder: Encoder | None = None

    @cached_property
    def views(self) -> list[View]:
        """Every view that a cell draws on, once; behind those that its pool is made from."""
        views: dict[str, View] = {}
        for cell in self.cells:
            for view in reversed(self.lineage(cell.mix.view)):
                views.setdefault(view.fingerprint, view)
        return list(views.values())

    @cached_property
    def pools(self) -> list[Pool]:
        """Every pool, once: topics, then those that views are made from, then baselines."""
        recipes = {view.pool.fingerprint: view.pool for view in self.views}
        return [*self.topic_pools, *recipes.values(), *self.baselines]

    @cached_property
    def cells_of(self) -> Mapping[str, list[Cell]]:
        """The cells that draw on a view, or on one that is made from it, by its fingerprint."""
        cells_by_view: dict[str, list[Cell]] = {}
        for cell in self.cells:
            for view in self.lineage(cell.mix.view):
                cells_by_view.setdefault(view.fingerprint, []).append(cell)
        return cells_by_view

    def lineage(self, view: View | None) -> list[View]:
        """Return a view, and those that its pool is made from, the nearest first."""
        views = []
        while view:
            views.append(view)
            view = self.ancestors[view.pool.parent.fingerprint] if view.pool.parent else None
        return views

    def topic_pool(self, pool: Pool) -> TopicPool | None:
        """Return the pool of the topics that a pool's prompts draw on, if an LLM lists them."""
        file = pool.files.get("topics")
        return next((topics for topics in self.topic_pools if topics.file == file), None)

    def with_sources(self, pools: Iterable[Pool]) -> list[Pool]:
        """Return pools, with all that they are made from: more may come to be wanted of those."""
        by_fingerprint: dict[str, Pool] = {}
        for pool in pools:
            above = self.ancestors[pool.parent.fingerprint] if pool.parent else None
            for source in [pool, *(view.pool for view in self.lineage(above))]:
                by_fingerprint[source.fingerprint] = source
                if topics := self.topic_pool(source):
                    by_fingerprint[topics.fingerprint] = topics
        return list(by_fingerprint.values())

    def demand(self, view: View) -> dict[str, int]:
        """Return how many accepted rows of each label the cells want of a view, at most."""
        return dict(self._demands.get(view.fingerprint) or dict.fromkeys(view.labels, 0))

    @cached_property
    def _demands(self) -> dict[str, dict[str, int]]:
        demands: dict[str, dict[str, int]] = {}
        for cell in self.cells:
            if cell.mix.view:
                demand = demands.setdefault(
                    cell.mix.view.fingerprint, dict.fromkeys(cell.quotas, 0)
                )
                for label, wanted in cell.quotas.items():
                    demand[label] = max(demand[label], wanted)
        return demands

    def inputs(self) -> Iterator[Rows]:
        """Yield all rows that workers read from the store."""
        for splits in self.gold.values():
            yield from splits.values()
        yield from self.records.values()

    def runs(self, cell: Cell, mix: Mix, rows: Outline) -> list[Run]:
        """Return a cell's runs, now that its training set is known and how it was put together."""
        return [_run(self, cell, mix, rows, repeat) for repeat in range(self.repeats(cell))]

    def repeats(self, cell: Cell) -> int:
        """Return how often a cell is trained: once only if its trainer draws nothing."""
        draws = trainer_class(cell.condition.train.trainer).draws
        return self.file.study.repeats if draws else 1


READERS = Readers(recipe_fields, training_fields)


def make_plan(file: StudyFile, some: list[Condition] | None = None) -> Plan:
    """Plan a study.

    Args:
        file: The study.
        some: Conditions in place of those of its grid.

    Raises:
        InputError: Anything about the study, its data or its models is wrong.
    """
    grid = conditions(file, READERS) if some is None else some
    check_labels(file, grid)
    for condition in grid:
        for name in condition.curate.filters if condition.curate else ():
            filter_class(name)
        if condition.generate:  # also where the engine reads no prompts: a misspelt name is one
            strategy_class(condition.generate.strategy)
    models = {
        (config.model, config.revision): resolve_model(config.model, config.revision, "train.model")
        for config in {_model_key(condition.train): condition.train for condition in grid}.values()
    }
    published = _published(file)
    gold = {name: load_gold(task) for name, task in file.tasks.items()}
    records = _records(file, grid)
    graph = Graph(file.tasks, gold, records)
    cells = [
        _cell(graph, condition, replicate)
        for condition in grid
        for replicate in range(file.study.replicates)
    ]
    check_amounts(file, cells, gold)
    pools_by_task = {
        name: [pool for pool in graph.pools if pool.task.name == name] for name in file.tasks
    }
    baselines = [
        baseline
        for name, task in file.tasks.items()
        for baseline in plan_baselines(file, task, pools_by_task[name], gold[name])
    ]
    return Plan(
        file=file,
        gold=gold,
        records=records,
        conditions=grid,
        cells=cells,
        models=models,
        baselines=baselines,
        ancestors=graph.ancestors,
        topic_pools=list(graph.topic_pools.values()),
        published=published,
        encoder=_encoder(file),
    )


def _encoder(file: StudyFile) -> Encoder | None:
    config = file.study.diagnose
    if config is None:
        return None
    return Encoder(config, resolve_model(config.model, config.revision, "diagnose.model"))


def _cell(graph: Graph, condition: Condition, replicate: int) -> Cell:
    task, gold = graph.tasks[condition.task], graph.gold[condition.task]
    labels, seen = list(task.labels), condition.mix.real
    view = None
    if condition.generate and condition.curate:
        view = graph.view(task, condition.generate, condition.curate, replicate)
        if "shots" in graph.roles(view):
            seen = max(seen, min(condition.generate.shot_rows, gold["train"].table.num_rows))
    mix = Mix(tuple(labels), condition.mix, replicate, view, gold["train"].name, {})
    wanted = quotas(labels, condition.mix.prior, condition.mix.quantity)
    return Cell(condition, replicate, mix, wanted, seen)


def _run(plan: Plan, cell: Cell, mix: Mix, rows: Outline, repeat: int) -> Run:
    task, gold = plan.file.tasks[cell.condition.task], plan.gold[cell.condition.task]
    config = resolved_steps(cell.condition.train, rows.rows)
    model = plan.models[_model_key(config)]
    fields, draws = training_fields(config), trainer_class(config.trainer).draws
    precision = resolve_precision(config.precision) if "precision" in fields else "float32"
    training = ResolvedTraining(config, fields, model.identity, precision)
    reads = run_reads(list(task.labels), training, repeat if draws else None)
    inputs: dict[str, Plain] = {"training_set": rows.content, "synthetic": rows.synthetic}
    inputs |= {str(split): gold[split].content for split in SCORED}
    return Run(
        fingerprint=run_fingerprint(reads, inputs),
        label=f"{task.name}-{rows.synthetic}+{rows.real}" + (f"-{repeat}" if draws else ""),
        mix=mix,
        content=rows.content,
        config=config,
        model=model,
        precision=precision,
        repeat=repeat,
        scored={split: gold[split].name for split in SCORED},
        reads=reads,
        inputs=inputs,
    )


def _published(file: StudyFile) -> Published | None:
    name = file.study.published
    if name is None:
        return None
    try:
        return load_published(name, file.folder)
    except ConfigError as error:
        raise ConfigError(f"{file.source}, published: {error}") from error


def _model_key(config: TrainConfig) -> tuple[str, str]:
    return config.model, config.revision


def _records(file: StudyFile, grid: list[Condition]) -> dict[tuple[str, str], Rows]:
    """Read the records of every recipe that replays some."""
    records: dict[tuple[str, str], Rows] = {}
    for condition in grid:
        config = condition.generate
        if config is None or "records" not in engine_class(config.engine).reads:
            continue
        if config.records is None:
            raise ConfigError(
                f"The engine {config.engine!r} replays existing rows: say which, with "
                'generate.records = "rows.jsonl".'
            )
        key = (condition.task, source_key(config))
        if key not in records:
            records[key] = load_records(config.records, file.tasks[condition.task])
    return records
