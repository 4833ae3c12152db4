"""What rows are still to be made or judged, as they come in: the state of a study that is filled.

It is read from the store's files when it begins, and follows what is reported after that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.curate.judging import Curated
from engine.generate.events import SegmentRef
from engine.schema import NONE
from engine.status.quotas import Standings, standings, targets, whole_rows
from engine.status.survey import Survey
from engine.status.wants import in_turn, lacking
from engine.steps.pool import Pool, Want
from engine.steps.topics import TopicPool
from engine.steps.view import Tally, View, is_current
from engine.store.segments import Segment, unbroken
from engine.store.store import Store

AT_LEAST = 64  # rows of a slot that are judged at a time, while more are being made


@dataclass
class _Supply:
    """One slot of a pool.

    Attributes:
        pool: The pool.
        slot: The slot.
        there: Its segments.
        awaited: Those that are being made.
        is_stopped: Whether no more can be made, or may be.
        upto: Rows that are wanted whatever becomes of them: all of a baseline, answers for topics.
    """

    pool: Pool
    slot: str
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
        return lacking(self.pool, self.slot, upto, self.there | self.awaited)

    @property
    def in_order(self) -> list[Segment]:
        """Its segments, by their rows."""
        return sorted(self.there, key=lambda segment: segment.start)

    @property
    def rows(self) -> int:
        """Rows that can be judged: those before the first gap."""
        whole = unbroken(self.in_order)
        return whole[-1].stop if whole else 0


@dataclass
class _Judged:
    """One slot of a view."""

    view: View
    supply: _Supply
    tally: Tally
    is_stale: bool  # rows of the pool changed under it: it must be judged anew whatever it counts
    is_busy: bool = False
    is_redone: bool = False  # it is being judged anew: what it counts may not hold any more

    @property
    def unjudged(self) -> int:
        rows = self.supply.rows
        return rows if self.is_stale else max(0, rows - self.tally.rows)

    @property
    def is_awaiting(self) -> bool:
        return bool(self.supply.awaited or self.unjudged or self.is_busy)


class Demand:
    """What a plan still wants.

    Args:
        now: What is there of the study when it begins.
        store: The root.
        most: Rows of a label, or of a baseline's split, that are wanted at most, if not all.
    """

    def __init__(self, now: Survey, store: Store, most: int | None = None) -> None:
        plan = now.plan
        self._plan, self._store, self._most = plan, store, most
        self._supplies: dict[tuple[str, str], _Supply] = {}
        self._judged: dict[tuple[str, str], _Judged] = {}
        self._known_standings: Standings | None = None
        for pool in plan.pools:
            for slot, there in pool.segments(now.seen).items():
                self._supplies[pool.fingerprint, slot] = _Supply(pool, slot, set(there))
        for baseline in plan.baselines:
            for split, rows in baseline.limits.items():
                wanted = rows if most is None else min(rows, most)
                self._supplies[baseline.fingerprint, split].upto = wanted
        for listed in plan.topic_pools:
            self._list(listed)
        for view in plan.views:
            for slot in view.pool.slots:
                supply = self._supplies[view.pool.fingerprint, slot]
                is_stale = not is_current(now.seen, view, slot)
                tally = Tally() if is_stale else now.known.tally(view, slot)
                self._judged[view.fingerprint, slot] = _Judged(view, supply, tally, is_stale)

    @property
    def is_settled(self) -> bool:
        """Whether every row is judged, and every quota met or given up."""
        is_filled = all(self._is_settled(own) for own in self._judged.values())
        return is_filled and not any(own.is_open for own in self._supplies.values())

    @property
    def open_pools(self) -> list[Pool]:
        """The pools that may be extended yet."""
        own = [one.supply.pool for one in self._judged.values() if not self._is_settled(one)]
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
        return sum(own.unjudged for own in self._judged.values())

    def wants(self) -> list[Want]:
        """Return the segments that are to be made now, the most urgent first; each once."""
        found = {(want.pool.fingerprint, want.segment): want for want in self._wanted()}
        for want in found.values():
            self._supplies[want.pool.fingerprint, want.segment.slot].awaited.add(want.segment)
        if found:
            self._known_standings = None
        return in_turn(found.values())

    def _wanted(self) -> Iterator[Want]:
        reach = targets(self._plan, self._standings, self, most=self._most)
        for key, upto in reach.items():
            supply = self._supplies[key]
            if not supply.is_stopped:
                yield from (want for want in supply.lacking(upto) if self._can_be_asked(want))

    def _can_be_asked(self, want: Want) -> bool:
        """Say whether what a segment's prompts are made of is there."""
        pool = want.pool
        listed = self._plan.topic_pool(pool)
        if listed and not self._store.has(listed.file):
            return False
        if pool.parent is None:
            return True
        parent = self._plan.ancestors[pool.parent.fingerprint]
        judged = [self._judged[parent.fingerprint, slot] for slot in parent.pool.slots]
        if any(one.is_stale or one.is_redone for one in judged):
            return False
        above = self._standings[pool.parent.fingerprint]
        accepted = {label: one.tally.accepted for label, one in above.items()}
        fed = pool.parent.feeds(want.segment.slot, accepted)
        return want.segment.stop <= whole_rows(pool, want.segment.slot, fed)

    def to_judge(self) -> list[tuple[View, str]]:
        """Return the slots of views that are to be judged now, each once until it is."""
        found = []
        for own in self._judged.values():
            enough = max(AT_LEAST, own.tally.rows // 4)  # resuming a view costs as it grows
            is_due = own.unjudged >= (enough if own.supply.awaited else 1)
            if is_due and not own.is_busy:
                own.is_busy, own.is_redone, own.is_stale = True, own.is_stale, False
                found.append((own.view, own.supply.slot))
        return found

    def made(self, part: SegmentRef) -> None:
        """Hear that a segment is there.

        Raises:
            DamagedError: It belongs to a list of topics, and is damaged.
        """
        own = self._supplies[part.pool, part.segment.slot]
        own.awaited.discard(part.segment)
        own.there.add(part.segment)
        if isinstance(own.pool, TopicPool):
            self._list(own.pool)
        for one in self._judged.values():
            if one.supply is own and part.segment.start < one.tally.rows:
                one.is_stale = True  # a damaged segment was made again under rows judged before
        self._known_standings = None

    def judged(self, done: Curated) -> None:
        """Hear what a slot's rows came to."""
        own = self._judged[done.view.fingerprint, done.slot]
        own.is_busy = own.is_redone = False
        own.tally = done.tally
        if done.damaged:  # of its pool, or of the view itself
            own.is_stale = True
            own.supply.there = set(own.supply.pool.segments(self._store)[done.slot])
        self._known_standings = None

    def stop(self, pools: Iterable[str]) -> None:
        """Hear that no more rows of pools (fingerprints) will come than are there."""
        for pool in set(pools):
            for (own, _), supply in self._supplies.items():
                if own == pool:
                    supply.is_stopped = True
                    supply.awaited.clear()
        self._known_standings = None

    def withdrawn(self, wants: Iterable[Want]) -> None:
        """Hear that segments will not be made now."""
        for want in wants:
            own = self._supplies[want.pool.fingerprint, want.segment.slot]
            own.awaited.discard(want.segment)
        self._known_standings = None

    def tally(self, view: View, slot: str) -> Tally:
        """Return what the judged rows of a slot came to."""
        return self._judged[view.fingerprint, slot].tally

    def awaits(self, view: View, slot: str) -> bool:
        """Say whether further rows of a slot are being made or judged."""
        return self._judged[view.fingerprint, slot].is_awaiting

    def can_grow(self, view: View, slot: str) -> bool:
        """Say whether more rows of a slot may be made, or judged."""
        own = self._judged[view.fingerprint, slot]
        return own.is_awaiting or not own.supply.is_stopped

    def may_be_listed(self, pool: Pool) -> bool:
        """Say whether the topics that a pool draws on are there, or may come yet."""
        listed = self._plan.topic_pool(pool)
        if listed is None or self._store.has(listed.file):
            return True
        return self._supplies[listed.fingerprint, NONE].is_open

    def answers(self, topics: TopicPool) -> int:
        """Return how many answers a list of topics takes yet."""
        return self._supplies[topics.fingerprint, NONE].upto

    def _list(self, listed: TopicPool) -> None:
        """Make the list of topics, if there are answers enough, or else see to more of them."""
        own = self._supplies[listed.fingerprint, NONE]
        there = own.in_order
        if not own.awaited and not listed.settle(there, self._store):
            hopeless = listed.is_hopeless(there, self._store)
            own.upto = 0 if hopeless else listed.upto(there, self._store)

    @property
    def _standings(self) -> Standings:
        """Where every label stands; worked out anew when anything has changed."""
        if self._known_standings is None:
            self._known_standings = standings(self._plan, self, most=self._most)
        return self._known_standings

    def _is_settled(self, own: _Judged) -> bool:
        if own.is_awaiting:
            return False
        judged, slot = self._standings[own.view.fingerprint], own.supply.slot
        in_slot = [one for label, one in judged.items() if own.view.slot_of(label) == slot]
        return own.supply.is_stopped or all(one.state != "wanting" for one in in_slot)
