"""What rows are still to be made or judged, as they come in: the state of a study that is filled.

It is read from the store's files when it begins, and follows what is reported after that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.curate.stage import Curated, is_current, tally_of
from engine.curate.view import Tally, View
from engine.errors import DamagedError
from engine.generate.ledger import Part
from engine.generate.pool import Pool
from engine.generate.stage import Want
from engine.plan import Plan
from engine.segments import Segment, unbroken
from engine.store import Store
from engine.survey import Outlook, in_turn, lacking, outlook

AT_LEAST = 64  # rows of a label that are judged at a time, while more are being made


@dataclass
class _Supply:
    """One label of a pool.

    Attributes:
        pool: The pool.
        label: The label.
        there: Its segments.
        awaited: Those that are being made.
        is_stopped: Whether no more can be made, or may be.
        upto: Rows that are wanted whatever becomes of them: all of a baseline.
    """

    pool: Pool
    label: str
    there: set[Segment]
    awaited: set[Segment] = field(default_factory=set)
    is_stopped: bool = False
    upto: int = 0

    @property
    def is_open(self) -> bool:
        """Whether rows are to come that are wanted whatever becomes of them."""
        return bool(self.awaited) or (not self.is_stopped and bool(self.lacking(self.upto)))

    def lacking(self, upto: int) -> list[Want]:
        """Return the segments of the first rows that are neither there nor being made."""
        return lacking(self.pool, self.label, upto, self.there | self.awaited)

    @property
    def rows(self) -> int:
        """Rows that can be judged: those before the first gap."""
        whole = unbroken(sorted(self.there, key=lambda segment: segment.start))
        return whole[-1].stop if whole else 0


@dataclass
class _Quota:
    """One label of a view."""

    view: View
    supply: _Supply
    wanted: int
    tally: Tally
    is_stale: bool  # rows of the pool changed under it: it must be judged anew whatever it counts
    is_busy: bool = False

    @property
    def unjudged(self) -> int:
        rows = self.supply.rows
        return rows if self.is_stale else max(0, rows - self.tally.rows)


class Demand:
    """What a plan still wants.

    Args:
        plan: The study's steps.
        store: The root.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self._store, self._limits = store, plan.file.study.quota
        self._supplies: dict[tuple[str, str], _Supply] = {}
        self._quotas: dict[tuple[str, str], _Quota] = {}
        for pool in plan.pools:
            for label, there in pool.segments(store).items():
                self._supplies[pool.fingerprint, label] = _Supply(pool, label, set(there))
        for baseline in plan.baselines:
            for split, rows in baseline.limits.items():
                self._supplies[baseline.fingerprint, split].upto = rows
        for view in plan.views:
            for label, wanted in plan.demand(view).items():
                supply = self._supplies[view.pool.fingerprint, label]
                is_stale = not is_current(store, view, label)
                tally = Tally() if is_stale else _tally(store, view, label)
                self._quotas[view.fingerprint, label] = _Quota(
                    view, supply, wanted, tally, is_stale
                )

    @property
    def is_settled(self) -> bool:
        """Whether every row is judged, and every quota met or given up."""
        is_filled = all(self._is_settled(quota) for quota in self._quotas.values())
        return is_filled and not any(own.is_open for own in self._supplies.values())

    @property
    def open_pools(self) -> list[Pool]:
        """The pools that may be extended yet."""
        own = [quota.supply.pool for quota in self._quotas.values() if not self._is_settled(quota)]
        own += [supply.pool for supply in self._supplies.values() if supply.is_open]
        return list({pool.fingerprint: pool for pool in own}.values())

    @property
    def awaited_rows(self) -> int:
        """Rows that are being made."""
        awaited = (segment for own in self._supplies.values() for segment in own.awaited)
        return sum(segment.stop - segment.start for segment in awaited)

    @property
    def unjudged_rows(self) -> int:
        """Rows that are there and not judged; those of two views count twice."""
        return sum(quota.unjudged for quota in self._quotas.values())

    def wants(self) -> list[Want]:
        """Return the segments that are to be made now, the most urgent first; each once."""
        found: dict[tuple[str, Segment], Want] = {}
        for quota in self._quotas.values():
            own = quota.supply
            if own.is_stopped:
                continue
            for want in own.lacking(self._outlook(quota).upto):
                found[own.pool.fingerprint, want.segment] = want
        for own in self._supplies.values():
            for want in own.lacking(own.upto) if not own.is_stopped else ():
                found[own.pool.fingerprint, want.segment] = want
        for want in found.values():
            self._supplies[want.pool.fingerprint, want.segment.slot].awaited.add(want.segment)
        return in_turn(found.values())

    def to_judge(self) -> list[tuple[View, str]]:
        """Return the labels of views that are to be judged now, each once until it is."""
        found = []
        for quota in self._quotas.values():
            enough = max(AT_LEAST, quota.tally.rows // 4)  # resuming a view costs as it grows
            is_due = quota.unjudged >= (enough if quota.supply.awaited else 1)
            if is_due and not quota.is_busy:
                quota.is_busy, quota.is_stale = True, False
                found.append((quota.view, quota.supply.label))
        return found

    def made(self, part: Part) -> None:
        """Hear that a segment is there."""
        own = self._supplies[part.pool, part.segment.slot]
        own.awaited.discard(part.segment)
        own.there.add(part.segment)
        for quota in self._quotas.values():
            if quota.supply is own and part.segment.start < quota.tally.rows:
                quota.is_stale = True  # a damaged segment was made again under rows judged before

    def judged(self, done: Curated) -> None:
        """Hear what a label's rows came to."""
        quota = self._quotas[done.view.fingerprint, done.slot]
        quota.is_busy, quota.tally = False, done.tally
        if done.damaged:  # of its pool, or of the view itself
            quota.is_stale = True
            quota.supply.there = set(quota.supply.pool.segments(self._store)[done.slot])

    def stop(self, pools: Iterable[str]) -> None:
        """Hear that no more rows of pools (fingerprints) will come than are there."""
        for pool in set(pools):
            for (own, _), supply in self._supplies.items():
                if own == pool:
                    supply.is_stopped = True
                    supply.awaited.clear()

    def withdrawn(self, wants: Iterable[Want]) -> None:
        """Hear that segments will not be made now."""
        for want in wants:
            own = self._supplies[want.pool.fingerprint, want.segment.slot]
            own.awaited.discard(want.segment)

    def _is_settled(self, quota: _Quota) -> bool:
        if quota.unjudged or quota.is_busy or quota.supply.awaited:
            return False
        return quota.supply.is_stopped or self._outlook(quota).standing != "wanting"

    def _outlook(self, quota: _Quota) -> Outlook:
        awaits = bool(quota.supply.awaited or quota.unjudged or quota.is_busy)
        return outlook(
            quota.view, quota.supply.label, quota.wanted, quota.tally, self._limits, awaits=awaits
        )


def _tally(store: Store, view: View, label: str) -> Tally:
    try:
        return tally_of(store, view, label)
    except DamagedError as damage:
        store.set_aside(damage.name)
        return Tally()
