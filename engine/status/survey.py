"""What of a plan is there and what is missing, derived from the store's files alone."""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.accepted import NONE
from engine.curate.view import Tally
from engine.diagnose.stage import Examination, examination
from engine.errors import DamagedError
from engine.generate.pool import Pool
from engine.generate.stage import Want
from engine.mix.stage import Example, Mix, Outline, ordered_rows, outlines
from engine.outlook import Looks, OnDisk, Outlook, look_over
from engine.plan import Cell, Plan
from engine.segments import Segment
from engine.soundness import CHECKSUMS, damage, model_files
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


def files_of(plan: Plan, store: Store) -> list[str]:
    """Return what a plan's commands read of the store, also what must be there and is missing.

    That is what is there of its inputs, pools and views, what its study refers to, all runs,
    diagnoses and embeddings, and all classifiers if it keeps them: it reads none.
    """
    names = _files_of_rows(plan, store) + _documents(store)
    if plan.file.study.resources.keep_models:
        names += _kept_models(store)
    study = f"studies/{plan.file.study.name}"
    names += [one for one in (f"{study}/references.json",) if store.has(one)]
    sittings = f"{study}/search/sittings"
    return [*names, *_in(store, sittings), *_in_folders(store, "embeddings")]


def all_files(plan: Plan, store: Store) -> list[str]:
    """Return the same, and the classifiers that any study keeps."""
    return list(dict.fromkeys([*files_of(plan, store), *_kept_models(store)]))


def _files_of_rows(plan: Plan, store: Store) -> list[str]:
    folders = [*(pool.folder for pool in plan.pools), *(view.folder for view in plan.views)]
    names = [rows.name for rows in plan.inputs() if store.has(rows.name)]
    names += [listed.file for listed in plan.topic_pools if store.has(listed.file)]
    for folder in folders:
        rows = _in(store, f"{folder}/rows")
        recipe = f"{folder}/recipe.json"
        names += [recipe, *rows] if rows or store.has(recipe) else []
    return names


def damaged_files(names: Iterable[str], store: Store) -> Iterator[DamagedError]:
    """Check files, and yield what is wrong with those that are damaged.

    Raises:
        FormatError: One was written by another version of textmill.
    """
    return (found for name in names if (found := damage(store, name)))


def _documents(store: Store) -> list[str]:
    return [name for stage in ("runs", "diagnoses") for name in _in(store, stage)]


def _kept_models(store: Store) -> list[str]:
    """Return the classifiers' files, also those that are missing and, of any, their checksums."""
    found: dict[str, None] = {}
    for folder in _in(store, "models"):
        own = {f"{folder}/{CHECKSUMS}": None, **dict.fromkeys(_in(store, folder))}
        with contextlib.suppress(DamagedError):  # which is found when they are checked
            own |= dict.fromkeys(f"{folder}/{name}" for name in model_files(store, folder))
        found |= own if store.names(folder) else {}
    return list(found)


def _in_folders(store: Store, stage: str) -> list[str]:
    return [name for folder in _in(store, stage) for name in _in(store, folder)]


def _in(store: Store, folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in store.names(folder)]


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
