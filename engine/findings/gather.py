"""From a plan and the store to what a study found, and to the list of what it refers to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.findings.baselines import baseline_results
from engine.findings.diagnoses import diagnoses
from engine.findings.findings import Findings, Source, TaskFacts
from engine.findings.results import gold_numbers, made_runs, predictions, results
from engine.generate.embedded.scope import load_scope
from engine.generate.engine import recipe_fields
from engine.models import resolve_precision
from engine.plan.names import cell_name, pool_name, view_name
from engine.plan.plan import Plan
from engine.status.spent import taken
from engine.status.survey import Survey
from engine.steps.pool import Pool
from engine.steps.view import Tally, View
from engine.store.schema import NONE
from engine.store.store import Store
from engine.tasks.task import Task
from engine.train.trainer import trainer_class, training_fields

LONG = {"attributes", "records", "templates", "topics"}  # what a report has no room for
CAVEAT = (
    "Synthetic rows were written by a toy, which knows the sentences of a small grammar: these "
    "scores show how textmill works, and say nothing about LLMs or the method."
)
LLM_CAVEAT = (
    "The LLM that is asked for labels is a toy, which was only taught to write: its answers are no "
    "labels but by chance."
)


def gather(now: Survey, failures: Mapping[str, str], troubles: Sequence[str]) -> Findings:
    """Gather what a study found so far.

    Args:
        now: What is there of the study.
        failures: Why runs and diagnoses failed just now, by their files.
        troubles: What else went wrong just now, a sentence each.

    Raises:
        DamagedError: The file of a run or diagnosis is damaged.
    """
    plan, store = now.plan, now.seen
    study = plan.file.study
    names = {view.fingerprint: view_name(plan, view) for view in plan.views}
    baselines = baseline_results(plan.baselines, plan.gold, store)
    outcomes = made_runs(now)
    problems = [
        *_unlisted(now),
        *_problems(now, failures),
        *_unexamined(now, failures, names),
        *_unasked(plan, store),
        *_unanswerable(baselines),
    ]
    return Findings(
        name=study.name,
        tasks={name: _facts(plan, task) for name, task in plan.file.tasks.items()},
        factors=study.varied,
        results=list(results(now, outcomes)),
        sources=[_source(now, view) for view in plan.views],
        repeats=max(plan.repeats(cell) for cell in plan.cells),
        replicates=study.replicates,
        runs=sum(plan.repeats(cell) for cell in plan.cells),
        problems=[*troubles, *problems],
        settings=_settings(plan),
        recipe=_recipe(plan),
        caveat=caveat(plan),
        drawless=sorted(_drawless(plan)),
        baselines=baselines,
        published=plan.published,
        diagnostics=list(diagnoses(now, names)),
        encoder=_without_place(study.diagnose.model) if study.diagnose else "",
        metric=study.metric,
        gold={name: gold_numbers(plan, task) for name, task in plan.file.tasks.items()},
        predicted=predictions(outcomes),
        annotation=study.annotation,
        is_replayed=any(pool.config.engine == "recorded" for pool in plan.pools),
    )


def _facts(plan: Plan, task: Task) -> TaskFacts:
    gold = plan.gold[task.name]
    return TaskFacts(list(task.labels), {name: rows.table.num_rows for name, rows in gold.items()})


def _source(now: Survey, view: View) -> Source:
    plan = now.plan
    total = sum((now.known.tally(view, slot) for slot in view.pool.slots), Tally())
    took = taken([view.pool], now.seen)
    return Source(
        name=view_name(plan, view),
        pool=view.pool.folder,
        view=view.folder,
        rows=total.rows,
        accepted=total.accepted,
        refused=total.reasons(),
        tokens=int(took.tokens),
        seconds=round(took.engine_s - took.start_s, 2),
        cost=took.cost(plan.file.study.budget),
    )


def _unlisted(now: Survey) -> Iterator[str]:
    plan, store = now.plan, now.seen
    for pool in plan.topic_pools:
        listed = len(pool.topics(store))
        if not listed and pool.is_hopeless(pool.segments(store)[NONE], store):
            yield f"Given up: {pool_name(plan, pool)}: no answer lists any topic."
        elif not listed:
            yield f"Not done yet: {pool_name(plan, pool)}: its topics are still to be listed."
        elif listed < pool.count:
            yield (
                f"Short of topics: {pool_name(plan, pool)}: {listed} of {pool.count} different "
                "ones; the LLM listed no more."
            )


def _unasked(plan: Plan, store: Store) -> Iterator[str]:
    for baseline in plan.baselines:
        if lacking := baseline.lacking(store):
            rows = sum(baseline.limits.values())
            yield (
                f"Not done yet: {pool_name(plan, baseline)}: {lacking} of {rows} "
                "validation and test rows are still to be asked."
            )


def _unanswerable(baselines: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in baselines:
        if row["errors"]:
            yield (
                f"No answer: the LLM itself, {row['task']}, {row['llm']}, {row['shots']} shots: "
                f"{row['errors']} of {row['rows']} {row['split']} rows, which count as wrong; the "
                f"first: {row['error']}"
            )


def _problems(now: Survey, failures: Mapping[str, str]) -> Iterator[str]:
    for cell, reason in now.given_up:
        yield f"Given up: {cell_name(cell)}: {reason}."
    for cell in now.waiting:
        yield f"Not done yet: {cell_name(cell)}: its synthetic rows are still to be made."
    for ready in now.ready:
        if ready.rows.short:
            wanted = ready.cell.condition.mix.quantity
            yield (
                f"Short of rows: {cell_name(ready.cell)}: {ready.rows.synthetic} of {wanted} "
                "synthetic rows; no more could be had."
            )
    for ready in now.ready:
        for run in ready.runs:
            if run.name not in now.finished:
                why = failures.get(run.name, "not trained yet")
                yield f"Missing: {cell_name(ready.cell)}, repeat {run.repeat}: {why}."


def _unexamined(
    now: Survey, failures: Mapping[str, str], names: Mapping[str, str]
) -> Iterator[str]:
    for examination in now.examinations:
        if examination.name not in now.finished:
            why = failures.get(examination.name, "not looked at yet")
            view = names[examination.view.fingerprint]
            yield f"Missing: how alike the rows of {view} are: {why}."


def _settings(plan: Plan) -> dict[str, Any]:
    """Return the training settings that are the same in all conditions that read them."""
    configs = [cell.condition.train for cell in plan.cells]
    shared = _shared(config.model_dump(include=training_fields(config)) for config in configs)
    if "precision" in shared:
        shared["precision"] = resolve_precision(shared["precision"])
    return shared


def _recipe(plan: Plan) -> dict[str, Any]:
    """Return the settings of generation that are the same in all recipes that read them."""
    configs = [view.pool.config for view in plan.views]
    return _shared(config.model_dump(include=recipe_fields(config) - LONG) for config in configs)


def _shared(settings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    values_by_name: dict[str, list[Any]] = {}
    for config in settings:
        for name, value in config.items():
            values_by_name.setdefault(name, []).append(value)
    shared = {
        name: values[0]
        for name, values in values_by_name.items()
        if name != "revision"
        and values[0] not in ([], {})
        and all(value == values[0] for value in values)
    }
    if "model" in shared:
        shared["model"] = _without_place(shared["model"])
    return shared


def _without_place(model: str) -> str:
    """Return what a report calls a model: it says nothing of its machine."""
    return Path(model).name if Path(model).is_absolute() else model


def caveat(plan: Plan) -> str:
    """Return what a reader must know before any number of a plan's, or ""."""
    caveats = [CAVEAT] if _asks_the_toy(view.pool for view in plan.views) else []
    caveats += [LLM_CAVEAT] if _asks_the_toy(plan.baselines) else []
    return " ".join(caveats)


def _asks_the_toy(pools: Iterable[Pool]) -> bool:
    models = [pool.model for pool in pools if pool.model]
    return any(load_scope(Path(model.place)) for model in models if model.revision is None)


def _drawless(plan: Plan) -> set[str]:
    trainers = {cell.condition.train.trainer for cell in plan.cells}
    return {name for name in trainers if not trainer_class(name).draws}
