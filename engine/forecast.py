"""What a study's missing rows will take, judged by the rows that are there."""

from dataclasses import dataclass

from engine.accepted import NONE
from engine.generate.baseline import Baseline
from engine.generate.pool import Pool
from engine.outcome import pool_name
from engine.plan import Plan
from engine.segments import unbroken
from engine.spending import HOUR_S, Taken, taken
from engine.store import Store
from engine.survey import OnDisk, look_over


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
    upto = _upto(plan, store)
    for pool in plan.pools:
        lacking = (
            pool.lacking(store)
            if isinstance(pool, Baseline)
            else sum(
                _lacking(pool, slot, upto[pool.fingerprint, slot], store) for slot in pool.slots
            )
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


def _upto(plan: Plan, store: Store) -> dict[tuple[str, str], int]:
    """Return how many rows each slot of each pool is likely to have in the end."""
    found: dict[tuple[str, str], int] = {}
    looks = look_over(plan, OnDisk(plan, store), has_pilot=False)
    for view in plan.views:
        for label, look in looks[view.fingerprint].items():
            key = (view.pool.fingerprint, view.slot_of(label))
            found[key] = max(found.get(key, 0), look.upto)
    for listed in plan.topic_pools:
        there = listed.segments(store)[NONE]
        found[listed.fingerprint, NONE] = listed.upto(there, store)
    return found


def _lacking(pool: Pool, slot: str, upto: int, store: Store) -> int:
    """Return how many rows of a slot are to be made yet, in whole segments."""
    whole = unbroken(pool.segments(store)[slot])
    there = whole[-1].stop if whole else 0
    segments = pool.grid(slot, upto)
    return max(0, (segments[-1].stop if segments else 0) - there)
