"""What of a plan is there and what is missing, derived from the store's files alone."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from engine.curate.stage import tally_of
from engine.curate.view import Tally, View
from engine.diagnose.stage import Examination, examination
from engine.generate.pool import Pool
from engine.generate.stage import Want
from engine.mix.stage import Example, TrainingSet, ordered_rows, training_set
from engine.plan import Cell, Plan
from engine.segments import Segment
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


def outlook(  # noqa: PLR0913 - a label's outlook has these sources
    view: View, label: str, quota: int, tally: Tally, config: Quota, *, awaits: bool = False
) -> Outlook:
    """Judge whether one label of a view has its quota, and how many rows that may take.

    Args:
        view: The view.
        label: The label.
        quota: Accepted rows wanted.
        tally: What the rows that are judged came to.
        config: When to give up.
        awaits: Whether further rows are being made or judged. Then nothing is given up yet, and
            only as many rows are called for as will be needed whatever those come to.
    """
    if tally.accepted >= quota:
        return Outlook("enough", quota, tally, tally.rows)
    share = tally.accepted / tally.rows if tally.rows else 1.0
    if tally.rows >= config.judged_after and share < 1 - config.max_refused:
        return Outlook("wanting" if awaits else "hopeless", quota, tally, tally.rows)
    hoped = _best_share(tally) if awaits else None
    likely = likely_rows(view, label, quota, tally, config, share=hoped)
    if likely <= tally.rows:
        return Outlook("wanting" if awaits else "short", quota, tally, tally.rows)
    pilot = max(PILOT, config.judged_after) if tally.rows < config.judged_after else likely
    return Outlook("wanting", quota, tally, min(likely, pilot))


def likely_rows(  # noqa: PLR0913 - as of an outlook
    view: View, label: str, quota: int, tally: Tally, config: Quota, *, share: float | None = None
) -> int:
    """Return how many rows a pool's label is likely to need for a quota, or may have at most.

    Args:
        view: The view.
        label: The label.
        quota: Accepted rows wanted.
        tally: What the rows that are judged came to.
        config: When to give up.
        share: Rows that will be accepted of those to come, in (0, 1]; as of those judged, if None.
    """
    if share is None:
        share = max(LEAST_SHARE, tally.accepted / tally.rows if tally.rows else 1.0)
    likely = tally.rows + math.ceil((quota - tally.accepted) / share)
    cap = math.ceil(config.attempts * quota)
    return min(likely, cap, view.pool.limits.get(label, cap))


def _best_share(tally: Tally) -> float:
    """Return the largest share of accepted rows that a tally is likely to come to."""
    if tally.rows < PILOT:
        return 1.0
    share = tally.accepted / tally.rows
    return min(1.0, share + 2 * math.sqrt(share * (1 - share) / tally.rows))


def outlooks(plan: Plan, store: Store, view: View) -> dict[str, Outlook]:
    """Judge every label of a view.

    Raises:
        DamagedError: A footer cannot be read.
    """
    config = plan.file.study.quota
    return {
        label: outlook(view, label, quota, tally_of(store, view, label), config)
        for label, quota in plan.demand(view).items()
    }


def wants(plan: Plan, store: Store) -> list[Want]:
    """Return the segments that are missing, for quotas and baselines, or in between, in turn."""
    target: dict[tuple[str, str], int] = {}
    for view in plan.views:
        for label, look in outlooks(plan, store, view).items():
            key = (view.pool.fingerprint, label)
            target[key] = max(target.get(key, 0), look.upto)
    for baseline in plan.baselines:
        target |= {(baseline.fingerprint, split): rows for split, rows in baseline.limits.items()}
    there = {pool.fingerprint: pool.segments(store) for pool in plan.pools}
    return in_turn(
        want
        for pool in plan.pools
        for label in pool.slots
        for want in lacking(
            pool, label, target[pool.fingerprint, label], there[pool.fingerprint][label]
        )
    )


def lacking(pool: Pool, label: str, upto: int, there: Collection[Segment]) -> list[Want]:
    """Return the segments of a pool's label that are not there, of its first ``upto`` rows."""
    return [Want(pool, one) for one in pool.grid(label, upto) if one not in there]


def in_turn(wants: Iterable[Want]) -> list[Want]:
    """Return segments so that all labels of all pools come forward together."""
    return sorted(wants, key=lambda want: want.segment.start)


def damaged_files(plan: Plan, store: Store) -> list[str]:
    """Check the inputs, pools and views that a plan refers to, and all runs and diagnoses."""
    folders = [*(pool.folder for pool in plan.pools), *(view.folder for view in plan.views)]
    names = [rows.name for rows in plan.inputs() if store.has(rows.name)]
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
            rows = training_set(store, mix, _real_of(cell, real))
            ready.append(Ready(cell, rows, plan.runs(cell, mix, rows)))
    examinations = _examinations(plan, ready, real)
    made = frozenset(_documents(store))
    return Survey(looks, ready, waiting, given_up, made, examinations)


def _examinations(
    plan: Plan, ready: Sequence[Ready], real: Sequence[Sequence[Example]]
) -> list[Examination]:
    """Return an examination of each view: of what its largest training set takes of it."""
    if plan.encoder is None:
        return []
    found = []
    for view in plan.views:
        cells = [one for one in ready if one.cell.mix.view is view]
        if cells:
            largest = max(cells, key=lambda one: one.cell.condition.mix.quantity)
            mix, rows = largest.runs[0].mix, largest.rows
            found.append(examination(view, mix, rows, _real_of(largest.cell, real), plan.encoder))
    return found


def _real_of(cell: Cell, real: Sequence[Sequence[Example]]) -> Sequence[Example]:
    """Return the real rows, in their order, that a cell takes some of."""
    return real[cell.replicate]


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
