"""What of a plan is there and what is missing, derived from the store's files alone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.accepted import NONE
from engine.curate.view import Tally
from engine.diagnose.stage import Examination, examination
from engine.generate.pool import Pool
from engine.generate.stage import Want
from engine.mix.stage import Example, TrainingSet, ordered_rows, training_set
from engine.outlook import Looks, OnDisk, Outlook, look_over
from engine.plan import Cell, Plan
from engine.segments import Segment
from engine.store import Store
from engine.train.run import Run


def wants(plan: Plan, store: Store) -> list[Want]:
    """Return the segments that are missing, for quotas and baselines, or in between, in turn.

    Some of them can only be made once others are there, from which they are made.
    """
    there = {pool.fingerprint: pool.segments(store) for pool in plan.pools}
    target: dict[tuple[str, str], int] = {}
    looks = look_over(plan, OnDisk(plan, store))
    for view in plan.views:
        for label, look in looks[view.fingerprint].items():
            key = (view.pool.fingerprint, view.slot_of(label))
            target[key] = max(target.get(key, 0), look.upto)
    for baseline in plan.baselines:
        target |= {(baseline.fingerprint, split): rows for split, rows in baseline.limits.items()}
    for listed in plan.topic_pools:
        own = there[listed.fingerprint][NONE]
        hopeless = listed.is_hopeless(own, store)
        target[listed.fingerprint, NONE] = 0 if hopeless else listed.upto(own, store)
    return in_turn(
        want
        for pool in plan.pools
        for slot in pool.slots
        for want in lacking(
            pool, slot, target[pool.fingerprint, slot], there[pool.fingerprint][slot]
        )
    )


def lacking(pool: Pool, slot: str, upto: int, there: Collection[Segment]) -> list[Want]:
    """Return the segments of a pool's slot that are not there, of its first ``upto`` rows."""
    return [Want(pool, one) for one in pool.grid(slot, upto) if one not in there]


def in_turn(wants: Iterable[Want]) -> list[Want]:
    """Return segments so that all labels of all pools come forward together."""
    return sorted(wants, key=lambda want: want.segment.start)


def damaged_files(plan: Plan, store: Store) -> list[str]:
    """Check the inputs, pools and views that a plan refers to, and all runs and diagnoses."""
    folders = [*(pool.folder for pool in plan.pools), *(view.folder for view in plan.views)]
    names = [rows.name for rows in plan.inputs() if store.has(rows.name)]
    names += [listed.file for listed in plan.topic_pools if store.has(listed.file)]
    names += [f"{folder}/recipe.json" for folder in folders if store.has(f"{folder}/recipe.json")]
    names += [
        f"{folder}/rows/{name}" for folder in folders for name in store.names(f"{folder}/rows")
    ]
    names += _documents(store)
    return [name for name in names if store.is_damaged(name)]


def _documents(store: Store) -> list[str]:
    return [f"{stage}/{name}" for stage in ("runs", "diagnoses") for name in store.names(stage)]


class Ready(NamedTuple):
    """A cell whose training set is known.

    Attributes:
        cell: The cell.
        rows: Its training set.
        runs: Its runs, one for each repeat.
    """

    cell: Cell
    rows: TrainingSet
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
    ready, waiting, given_up = [], [], []
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
            mix = replace(cell.mix, pinned=_pinned(cell, looks))
            rows = training_set(store, mix, real.of(cell))
            ready.append(Ready(cell, rows, plan.runs(cell, mix, rows)))
    examinations = _examinations(plan, ready, real)
    made = frozenset(_documents(store))
    return Survey(looks, ready, waiting, given_up, made, examinations)


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
