"""What of a plan is there and what is missing, derived from the store's files alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from engine.curate.stage import tallies
from engine.curate.view import Tally, View
from engine.generate.stage import Want
from engine.mix.stage import TrainingSet, ordered_rows, training_set
from engine.plan import Cell, Plan
from engine.segments import grid
from engine.store import Store
from engine.study.config import Quota
from engine.train.run import Run

PILOT = 512  # rows of a label that are made before any is judged: a hopeless recipe costs no more
LEAST_SHARE = 0.05  # no forecast asks for more than 20 rows for each row that is wanted

Standing = Literal["enough", "wanting", "short", "hopeless"]


class Outlook(NamedTuple):
    """Where one label of a view stands against its quota.

    Attributes:
        standing: "enough" rows; "wanting" more; "short" for good, since no more can be had; or
            "hopeless", since too many are refused.
        quota: Accepted rows wanted.
        tally: What there is.
        upto: Rows that the pool should have for the quota, as far as can be told.
    """

    standing: Standing
    quota: int
    tally: Tally
    upto: int


def outlook(view: View, label: str, quota: int, tally: Tally, config: Quota) -> Outlook:
    """Judge whether one label of a view has its quota, and how many rows that may take."""
    cap = math.ceil(config.attempts * quota)
    cap = min(cap, view.pool.limits.get(label, cap))
    if tally.accepted >= quota:
        return Outlook("enough", quota, tally, tally.rows)
    share = tally.accepted / tally.rows if tally.rows else 1.0
    if tally.rows >= config.judged_after and share < 1 - config.max_refused:
        return Outlook("hopeless", quota, tally, tally.rows)
    if tally.rows >= cap:
        return Outlook("short", quota, tally, tally.rows)
    likely = tally.rows + math.ceil((quota - tally.accepted) / max(share, LEAST_SHARE))
    pilot = PILOT if tally.rows < config.judged_after else likely
    return Outlook("wanting", quota, tally, min(cap, likely, pilot))


def outlooks(plan: Plan, store: Store, view: View) -> dict[str, Outlook]:
    """Judge every label of a view.

    Raises:
        DamagedError: A footer cannot be read.
    """
    counted, config = tallies(store, view), plan.file.study.quota
    return {
        label: outlook(view, label, quota, counted[label], config)
        for label, quota in plan.demand(view).items()
    }


def wants(plan: Plan, store: Store) -> list[Want]:
    """Return the segments that are missing, for the quotas or in between, labels in turn."""
    target: dict[str, dict[str, int]] = {}
    for view in plan.views:
        own = target.setdefault(view.pool.fingerprint, {})
        for label, look in outlooks(plan, store, view).items():
            own[label] = max(own.get(label, 0), look.upto)
    missing = []
    for pool in plan.pools:
        there = pool.segments(store)
        for label, upto in target[pool.fingerprint].items():
            present = set(there[label])
            missing += [Want(pool, one) for one in grid(label, upto) if one not in present]
    return sorted(missing, key=lambda want: want.segment.start)


def damaged_files(plan: Plan, store: Store) -> list[str]:
    """Check every byte of the inputs, pools and views that a plan refers to, and of all runs."""
    folders = [*(pool.folder for pool in plan.pools), *(view.folder for view in plan.views)]
    names = [rows.name for rows in plan.inputs() if store.has(rows.name)]
    names += [f"{folder}/recipe.json" for folder in folders if store.has(f"{folder}/recipe.json")]
    names += [
        f"{folder}/rows/{name}" for folder in folders for name in store.names(f"{folder}/rows")
    ]
    names += [f"runs/{name}" for name in store.names("runs")]
    return [name for name in names if store.is_damaged(name)]


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
        made: The files of the runs that are there.
    """

    outlooks: Mapping[str, Mapping[str, Outlook]]
    ready: Sequence[Ready]
    waiting: Sequence[Cell]
    given_up: Sequence[tuple[Cell, str]]
    made: frozenset[str]

    def missing(self) -> list[Run]:
        """Return the runs of ready cells that are not there, each once."""
        runs = {run.name: run for ready in self.ready for run in ready.runs}
        return [run for name, run in runs.items() if name not in self.made]


def survey(plan: Plan, store: Store) -> Survey:
    """Look what is there.

    Raises:
        DamagedError: A file of a view is damaged.
    """
    train = plan.gold["train"].table
    real = [ordered_rows(train, replicate) for replicate in range(plan.file.study.replicates)]
    looks = {view.fingerprint: outlooks(plan, store, view) for view in plan.views}
    ready, waiting, given_up = [], [], []
    for cell in plan.cells:
        short = _lacking(cell, looks)
        if any(look.standing == "hopeless" for look in short):
            given_up.append((cell, _refusals(short)))
        elif any(look.standing == "wanting" for look in short):
            waiting.append(cell)
        elif any(not look.tally.accepted for look in short):
            given_up.append((cell, f"a label has no rows: {_refusals(short)}"))
        else:
            mix = replace(cell.mix, pinned=_pinned(cell, looks))
            rows = training_set(store, mix, real[cell.replicate])
            ready.append(Ready(cell, rows, plan.runs(cell, mix, rows)))
    made = frozenset(f"runs/{name}" for name in store.names("runs"))
    return Survey(looks, ready, waiting, given_up, made)


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


def _refusals(short: Sequence[Outlook]) -> str:
    total = sum((look.tally for look in short), Tally())
    reasons = ", ".join(f"{count} {reason}" for reason, count in total.reasons().items())
    return f"of {total.rows} rows {total.rows - total.accepted} were refused ({reasons})"
