"""Which segments are missing."""

from collections.abc import Collection, Iterable

from engine.plan.plan import Plan
from engine.schema import NONE
from engine.status.quotas import OnDisk, look_over
from engine.steps.pool import Pool, Want
from engine.store.segments import Segment
from engine.store.store import Store


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
