"""What a study's missing rows will take, judged by the rows that are there; and a pilot of some."""

from dataclasses import dataclass

from engine.curate.stage import Judging, tally_of
from engine.generate.baseline import Baseline
from engine.generate.ledger import Made
from engine.generate.pool import Pool
from engine.generate.stage import JUDGING_CPUS, POLL_S, Want, generate
from engine.outcome import pool_name
from engine.plan import Plan
from engine.segments import SMALLEST, grid, unbroken
from engine.spending import HOUR_S, Purse, Taken, taken
from engine.store import Store
from engine.survey import in_turn, likely_rows, outlook


@dataclass(frozen=True)
class Forecast:
    """What the rows that a study lacks will take.

    Attributes:
        rows: How many there are to make; of recipes without any row yet, as if all were accepted.
        more: What they will take, as far as the pools have rows to tell it from.
        hours: Wall time of making them, in hours, with the replicas that the study has.
        unknown: Names of the recipes without any row yet: their tokens and time are not in it.
    """

    rows: int
    more: Taken
    hours: float
    unknown: list[str]


def forecast(plan: Plan, store: Store) -> Forecast:
    """Forecast what the rows that are missing will take.

    Each recipe is judged by its own rows: the share that is accepted, tokens, engine seconds.

    Raises:
        DamagedError: A footer cannot be read.
    """
    rows, more, unknown = 0, Taken(), []
    for pool in plan.pools:
        lacking = (
            pool.lacking(store)
            if isinstance(pool, Baseline)
            else sum(_lacking(plan, store, pool, label) for label in pool.slots)
        )
        if not lacking:
            continue
        rows += lacking
        known = taken([pool], store)
        if not known.rows:
            unknown.append(pool_name(plan, pool))
            continue
        own = known._replace(engine_s=known.engine_s - known.start_s, start_s=0)
        more = more.plus(own.times(lacking / known.rows))
    replicas = plan.file.study.resources.replicas
    most = max(replicas) if isinstance(replicas, list) else replicas
    seconds = more.engine_s / most
    return Forecast(rows, more, seconds / HOUR_S, unknown)


def _lacking(plan: Plan, store: Store, pool: Pool, label: str) -> int:
    """Return how many rows of a pool's label are to be made yet, at its share of accepted ones."""
    upto = 0
    for view in plan.views:
        if view.pool is not pool:
            continue
        quota, tally = plan.demand(view)[label], tally_of(store, view, label)
        look = outlook(view, label, quota, tally, plan.file.study.quota)
        if look.standing != "wanting":
            upto = max(upto, tally.rows)
            continue
        upto = max(upto, likely_rows(view, label, quota, tally, plan.file.study.quota))
    whole = unbroken(pool.segments(store)[label])
    there = whole[-1].stop if whole else 0
    segments = grid(label, upto)
    return max(0, (segments[-1].stop if segments else 0) - there)


def make_pilot(plan: Plan, store: Store) -> int:
    """Make and judge the first rows of every recipe that has none; they are kept and used.

    Returns:
        How many were made.

    Raises:
        InputError: A recipe cannot be made.
        EngineLostError: Its engine does not work.
    """
    lacking = [pool for pool in plan.pools if not any(pool.segments(store).values())]
    wanted = [
        Want(pool, one)
        for pool in lacking
        for slot in pool.slots
        for one in pool.grid(slot, SMALLEST)
    ]
    wants = Purse(plan, store).affordable(in_turn(wanted), 0)
    if not wants:
        return 0
    made: list[Made] = []
    study = plan.file.study
    generate(wants, store, study.resources, made.append, made_for=study.name)
    judging = Judging(store, JUDGING_CPUS)
    for view in plan.views:
        if view.pool in lacking:
            for slot in view.pool.slots:
                judging.begin(view, slot)
    while judging.is_on:
        judging.finished(POLL_S)
    return sum(one.part.rows for one in made)
