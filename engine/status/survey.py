"""What of a plan is there and what is missing, derived from the store's files alone.

A root is looked at once, and the ``Survey`` that this gives is handed on: whatever is to be said or
done next starts from it, and reads through its ``seen`` no file that was read before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.mix.training_set import ordered_rows, outlines
from engine.plan.cell import Cell
from engine.plan.plan import Plan
from engine.status.quotas import OnDisk, Standing, Standings, standings
from engine.steps.examination import Examination, examination
from engine.steps.mix import Example, Mix, Outline
from engine.steps.run import Run
from engine.steps.view import Tally
from engine.store.kinds import Kind
from engine.store.reading import Reading
from engine.store.store import Store


class Ready(NamedTuple):
    """A cell whose training set is known.

    Attributes:
        cell: The cell.
        rows: Its training set, in outline.
        runs: Its runs, one for each repeat.
    """

    cell: Cell
    rows: Outline
    runs: list[Run]


@dataclass(frozen=True)
class Survey:
    """What is there of a plan.

    Attributes:
        plan: The plan.
        seen: What was read of the root.
        known: What its files tell of the plan's rows.
        standings: Where each view's labels stand, by fingerprint.
        ready: The cells whose training sets are known.
        waiting: The cells whose rows are still to be made.
        given_up: The cells that will not be trained, each with the reason.
        finished: The files of the runs and diagnoses that are there.
        examinations: What is to be found out about views, as far as their rows are known.
    """

    plan: Plan
    seen: Reading
    known: OnDisk
    standings: Standings
    ready: Sequence[Ready]
    waiting: Sequence[Cell]
    given_up: Sequence[tuple[Cell, str]]
    finished: frozenset[str]
    examinations: Sequence[Examination] = ()

    def missing(self) -> list[Run]:
        """Return the runs of ready cells that are not there, each once."""
        runs = {run.name: run for ready in self.ready for run in ready.runs}
        return [run for name, run in runs.items() if name not in self.finished]

    def unexamined(self) -> list[Examination]:
        """Return the examinations whose files are not there, each once."""
        known = {planned.name: planned for planned in self.examinations}
        return [planned for name, planned in known.items() if name not in self.finished]

    def after_work(self, store: Store) -> "Survey":
        """Return the same, but for the runs and diagnoses that were made meanwhile."""
        return replace(self, finished=_results(store))


def survey(plan: Plan, store: Store) -> Survey:
    """Look what is there.

    Raises:
        DamagedError: A file of a view is damaged.
    """
    seen = Reading.of(store)
    known, orders = OnDisk(plan, seen), _Orders(plan)
    judged = standings(plan, known)
    whole: list[tuple[Cell, Mix]] = []
    waiting, given_up = [], []
    for cell in plan.cells:
        short = _lacking(cell, judged)
        if any(standing.state == "hopeless" for standing in short):
            given_up.append((cell, _refusals(plan, cell, short, judged)))
        elif any(standing.state == "wanting" for standing in short):
            waiting.append(cell)
        elif any(not standing.tally.accepted for standing in short):
            why = _refusals(plan, cell, short, judged)
            given_up.append((cell, f"a label has no rows: {why}"))
        else:
            whole.append((cell, replace(cell.mix, pinned=_pinned(cell, judged))))
    ready = list(_ready(plan, seen, whole, orders))
    examinations = _examinations(plan, ready, orders)
    return Survey(
        plan, seen, known, judged, ready, waiting, given_up, _results(store), examinations
    )


def _results(store: Store) -> frozenset[str]:
    """Return the files of all runs and diagnoses that are there."""
    stages = (Kind.RUN.value.stage, Kind.DIAGNOSIS.value.stage)
    return frozenset(f"{stage}/{name}" for stage in stages for name in store.names(stage))


def _ready(
    plan: Plan, store: Store, whole: Sequence[tuple[Cell, Mix]], orders: "_Orders"
) -> Iterator[Ready]:
    """Yield the cells whose rows are there, in turn, with their training sets and runs."""
    by_order: dict[tuple[str, int], list[int]] = {}
    for at, (cell, _) in enumerate(whole):
        by_order.setdefault((cell.condition.task, cell.replicate), []).append(at)
    rows: dict[int, Outline] = {}
    for places in by_order.values():
        real = orders.of(whole[places[0]][0])
        rows |= zip(places, outlines(store, [whole[at][1] for at in places], real), strict=True)
    for at, (cell, mix) in enumerate(whole):
        yield Ready(cell, rows[at], plan.runs(cell, mix, rows[at]))


def _examinations(plan: Plan, ready: Sequence[Ready], orders: "_Orders") -> list[Examination]:
    """Return an examination of each view: of what its largest training set takes of it."""
    if plan.encoder is None:
        return []
    planned = []
    for view in plan.views:
        cells = [ready_cell for ready_cell in ready if ready_cell.cell.mix.view is view]
        if cells:
            largest = max(cells, key=lambda ready_cell: ready_cell.cell.condition.mix.quantity)
            mix, rows = largest.runs[0].mix, largest.rows
            planned.append(examination(view, mix, rows, orders.of(largest.cell), plan.encoder))
    return planned


class _Orders:
    """The real rows of each task in the order of each replicate, worked out when they are asked."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[tuple[str, int], list[Example]] = {}

    def of(self, cell: Cell) -> list[Example]:
        key = (cell.condition.task, cell.replicate)
        if key not in self._known:
            train = self._plan.gold[cell.condition.task]["train"]
            self._known[key] = ordered_rows(train.table, cell.replicate)
        return self._known[key]


def _lacking(cell: Cell, judged: Standings) -> list[Standing]:
    """Return the labels of a cell's view that have not its own quota, which may be less."""
    if cell.mix.view is None:
        return []
    labels = judged[cell.mix.view.fingerprint]
    return [
        standing
        for label, standing in labels.items()
        if standing.tally.accepted < cell.quotas[label]
    ]


def _pinned(cell: Cell, judged: Standings) -> dict[str, int]:
    if cell.mix.view is None:
        return {}
    return {
        label: standing.tally.rows for label, standing in judged[cell.mix.view.fingerprint].items()
    }


def _refusals(plan: Plan, cell: Cell, short: Sequence[Standing], judged: Standings) -> str:
    sentences, view = [], cell.mix.view
    while view:
        is_shared = len(view.pool.slots) < len(view.labels)  # then each label counts the same rows
        total = sum((standing.tally for standing in (short[:1] if is_shared else short)), Tally())
        reasons = ", ".join(f"{count} {reason}" for reason, count in total.reasons().items())
        refused = f"{total.rows - total.accepted} were refused" + (
            f" ({reasons})" if reasons else ""
        )
        sentences.append(f"of {total.rows} rows {refused}")
        view = plan.ancestors[view.pool.parent.fingerprint] if view.pool.parent else None
        short = list(judged[view.fingerprint].values()) if view else []
    return "; of those that they are made from, ".join(sentences)
