"""What of a plan is there and what is missing, derived from the store's files alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.mix.training_set import ordered_rows, outlines
from engine.plan.cell import Cell
from engine.plan.plan import Plan
from engine.status.files import _documents
from engine.status.quotas import Looks, OnDisk, Outlook, look_over
from engine.steps.examination import Examination, examination
from engine.steps.mix import Example, Mix, Outline
from engine.steps.run import Run
from engine.steps.view import Tally
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
        outlooks: Where each view's labels stand, by fingerprint.
        ready: The cells whose training sets are known.
        waiting: The cells whose rows are still to be made.
        given_up: The cells that will not be trained, each with the reason.
        made: The files of the runs and diagnoses that are there.
        examinations: What is to be found out about views, as far as their rows are known.
    """

    outlooks: Mapping[str, Mapping[str, Outlook]]
    ready: Sequence[Ready]
    waiting: Sequence[Cell]
    given_up: Sequence[tuple[Cell, str]]
    made: frozenset[str]
    examinations: Sequence[Examination] = ()

    def missing(self) -> list[Run]:
        """Return the runs of ready cells that are not there, each once."""
        runs = {run.name: run for ready in self.ready for run in ready.runs}
        return [run for name, run in runs.items() if name not in self.made]

    def unexamined(self) -> list[Examination]:
        """Return the examinations whose files are not there, each once."""
        known = {one.name: one for one in self.examinations}
        return [one for name, one in known.items() if name not in self.made]


def survey(plan: Plan, store: Store) -> Survey:
    """Look what is there.

    Raises:
        DamagedError: A file of a view is damaged.
    """
    real = _Orders(plan)
    looks = look_over(plan, OnDisk(plan, store))
    whole: list[tuple[Cell, Mix]] = []
    waiting, given_up = [], []
    for cell in plan.cells:
        short = _lacking(cell, looks)
        if any(look.standing == "hopeless" for look in short):
            given_up.append((cell, _refusals(plan, cell, short, looks)))
        elif any(look.standing == "wanting" for look in short):
            waiting.append(cell)
        elif any(not look.tally.accepted for look in short):
            why = _refusals(plan, cell, short, looks)
            given_up.append((cell, f"a label has no rows: {why}"))
        else:
            whole.append((cell, replace(cell.mix, pinned=_pinned(cell, looks))))
    ready = list(_ready(plan, store, whole, real))
    examinations = _examinations(plan, ready, real)
    made = frozenset(_documents(store))
    return Survey(looks, ready, waiting, given_up, made, examinations)


def _ready(
    plan: Plan, store: Store, whole: Sequence[tuple[Cell, Mix]], real: "_Orders"
) -> Iterator[Ready]:
    """Yield the cells whose rows are there, in turn, with their training sets and runs."""
    by_order: dict[tuple[str, int], list[int]] = {}
    for at, (cell, _) in enumerate(whole):
        by_order.setdefault((cell.condition.task, cell.replicate), []).append(at)
    found: dict[int, Outline] = {}
    for own in by_order.values():
        order = real.of(whole[own[0]][0])
        found |= zip(own, outlines(store, [whole[at][1] for at in own], order), strict=True)
    for at, (cell, mix) in enumerate(whole):
        yield Ready(cell, found[at], plan.runs(cell, mix, found[at]))


def _examinations(plan: Plan, ready: Sequence[Ready], real: "_Orders") -> list[Examination]:
    """Return an examination of each view: of what its largest training set takes of it."""
    if plan.encoder is None:
        return []
    found = []
    for view in plan.views:
        cells = [one for one in ready if one.cell.mix.view is view]
        if cells:
            largest = max(cells, key=lambda one: one.cell.condition.mix.quantity)
            mix, rows = largest.runs[0].mix, largest.rows
            found.append(examination(view, mix, rows, real.of(largest.cell), plan.encoder))
    return found


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


def _lacking(cell: Cell, looks: Mapping[str, Mapping[str, Outlook]]) -> list[Outlook]:
    """Return the labels of a cell's view that have not its own quota, which may be less."""
    if cell.mix.view is None:
        return []
    own = looks[cell.mix.view.fingerprint]
    return [look for label, look in own.items() if look.tally.accepted < cell.quotas[label]]


def _pinned(cell: Cell, looks: Mapping[str, Mapping[str, Outlook]]) -> dict[str, int]:
    if cell.mix.view is None:
        return {}
    return {label: look.tally.rows for label, look in looks[cell.mix.view.fingerprint].items()}


def _refusals(plan: Plan, cell: Cell, short: Sequence[Outlook], looks: Looks) -> str:
    told, view = [], cell.mix.view
    while view:
        is_shared = len(view.pool.slots) < len(view.labels)  # then each look counts the same rows
        total = sum((look.tally for look in (short[:1] if is_shared else short)), Tally())
        reasons = ", ".join(f"{count} {reason}" for reason, count in total.reasons().items())
        refused = f"{total.rows - total.accepted} were refused" + (
            f" ({reasons})" if reasons else ""
        )
        told.append(f"of {total.rows} rows {refused}")
        view = plan.ancestors[view.pool.parent.fingerprint] if view.pool.parent else None
        short = list(looks[view.fingerprint].values()) if view else []
    return "; of those that they are made from, ".join(told)
