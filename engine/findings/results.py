"""From the runs of a plan to the rows of results: one per run and split."""

from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from engine.errors import DamagedError
from engine.evaluate.bootstrap import Numbers
from engine.findings.findings import NOTHING, Expense
from engine.generate.engine import method_of
from engine.plan.plan import Plan
from engine.status.spent import taken
from engine.status.survey import Ready, Survey
from engine.steps.run import SCORED
from engine.steps.view import View
from engine.tasks.task import Task
from engine.train.trainer import trainer_class


class Cost(NamedTuple):
    """What a view's rows took.

    Attributes:
        accepted: How many of them were accepted.
        took: What all of them took, with all that they are made from.
    """

    accepted: int
    took: Expense


class _Trained(NamedTuple):
    """A run that is there, as what one repeat of a cell came to.

    Attributes:
        ready: The cell.
        repeat: Number of the repeat, from 0.
        run: The run's file.
        body: What the file says.
    """

    ready: Ready
    repeat: int
    run: str
    body: Mapping[str, Any]


def gold_numbers(plan: Plan, task: Task) -> list[int]:
    """Return the label numbers of a task's test rows."""
    numbers = {label: number for number, label in enumerate(task.labels)}
    return [numbers[label] for label in plan.gold[task.name]["test"].table["label"].to_pylist()]


def made_runs(now: Survey) -> dict[str, dict[str, Any]]:
    """Return what the runs came to that are there, by their files.

    Raises:
        DamagedError: One of them is damaged.
    """
    names = (run.name for ready in now.ready for run in ready.runs)
    return {name: now.seen.document(name) for name in names if name in now.finished}


def predictions(outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, Numbers]:
    """Return the label numbers that runs predicted for the test rows."""
    return {
        run: np.asarray(body["splits"]["test"]["predictions"], np.int16)
        for run, body in outcomes.items()
    }


def results(now: Survey, outcomes: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each repeat of each condition and split, as ``Findings`` has them.

    Raises:
        DamagedError: A run is another than the plan's.
    """
    plan = now.plan
    costs = {view.fingerprint: _cost(now, view) for view in plan.views}
    for ready in now.ready:
        # a trainer that draws nothing has one run, which stands for every repeat
        for repeat, run in zip(range(plan.file.study.repeats), cycle(ready.runs), strict=False):
            if run.name in outcomes:
                body = outcomes[run.name]
                if body["fingerprint"] != run.fingerprint:
                    raise DamagedError(run.name, "it belongs to another run")
                trained = _Trained(ready, repeat, run.name, body)
                for split in SCORED:
                    yield _result(plan, trained, split) | {"took": _took(ready, costs)}


def _cost(now: Survey, view: View) -> Cost:
    plan = now.plan
    whole = taken(plan.with_sources([view.pool]), now.seen)
    accepted = sum(now.known.tally(view, slot).accepted for slot in view.pool.slots)
    tokens, engine_s = whole.prompt_tokens + whole.tokens, whole.engine_s - whole.start_s
    if view.pool.config.engine == "recorded":  # what making them took is not known
        return Cost(accepted, Expense(tokens, 0.0, None))
    return Cost(accepted, Expense(tokens, engine_s, whole.cost(plan.file.study.budget)))


def _took(ready: Ready, costs: Mapping[str, Cost]) -> Expense:
    """Return what a training set's synthetic rows took: their share of their view's."""
    view = ready.cell.mix.view
    if view is None:
        return NOTHING
    accepted, whole = costs[view.fingerprint]
    share = ready.rows.synthetic / accepted
    cost = None if whole.cost is None else share * whole.cost
    return Expense(share * whole.tokens, share * whole.engine_s, cost)


def _result(plan: Plan, trained: _Trained, split: str) -> dict[str, Any]:
    ready, repeat, run, body = trained
    cell, scored = ready.cell, body["splits"][split]
    levels = {name: cell.condition.levels[name] for name in plan.file.study.varied}
    config = cell.condition.generate
    return {
        **levels,
        "task": cell.condition.task,
        "method": method_of(config),
        "is_rephrased": bool(config and cell.mix.view and cell.mix.view.pool.call == "rephrase"),
        "is_random": trainer_class(cell.condition.train.trainer).draws,
        "quantity": cell.condition.mix.quantity,
        "real": cell.condition.mix.real,
        "replicate": cell.replicate,
        "repeat": repeat,
        "split": split,
        "accuracy": scored["accuracy"],
        "macro_f1": scored["macro_f1"],
        "rows_synthetic": ready.rows.synthetic,
        "rows_real": ready.rows.real,
        "rows_real_seen": cell.real_seen,
        "steps_done": body["steps_done"],
        "train_seconds": body["train_seconds"],
        "pool": cell.mix.view.pool.folder if cell.mix.view else None,
        "run": run,
    }
