"""Which segments are missing."""

from collections.abc import Collection, Iterable

from engine.status.quotas import Targets, targets
from engine.status.survey import Survey
from engine.steps.pool import Pool, Want
from engine.store.segments import Segment


def wants(now: Survey) -> list[Want]:
    """Return the segments that are missing, for quotas and baselines, or in between, in turn.

    Some of them can only be made once others are there, from which they are made.
    """
    return missing_segments(now, targets(now.plan, now.standings, now.known))


def missing_segments(now: Survey, reach: Targets) -> list[Want]:
    """Return the segments that pools lack of what they must reach, in turn."""
    segments = {pool.fingerprint: pool.segments(now.seen) for pool in now.plan.pools}
    return in_turn(
        want
        for pool in now.plan.pools
        for slot in pool.slots
        for want in lacking(
            pool, slot, reach[pool.fingerprint, slot], segments[pool.fingerprint][slot]
        )
    )


def lacking(pool: Pool, slot: str, upto: int, committed: Collection[Segment]) -> list[Want]:
    """Return the segments of a pool's slot that are not committed, of its first ``upto`` rows."""
    return [Want(pool, segment) for segment in pool.grid(slot, upto) if segment not in committed]


def in_turn(wants: Iterable[Want]) -> list[Want]:
    """Return segments so that all labels of all pools come forward together."""
    return sorted(wants, key=lambda want: want.segment.start)
