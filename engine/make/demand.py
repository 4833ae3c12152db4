"""What rows are still to be made or judged, as they come in: the state of a study that is filled.

It is read from the store's files when it begins, and follows what is reported after that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.curate.judging import Curated
from engine.generate.events import SegmentRef
from engine.status.quotas import Standings, standings, targets, whole_rows
from engine.status.survey import Survey
from engine.status.wants import in_turn, lacking
from engine.steps.pool import Pool, Want
from engine.steps.topics import TopicPool
from engine.steps.view import Tally, View, is_current
from engine.store.schema import NONE
from engine.store.segments import Segment, unbroken
from engine.store.store import Store

AT_LEAST = 64  # rows of a slot that are judged at a time, while more are being made


@dataclass
class _Supply:
    """One slot of a pool.

    Attributes:
        pool: The pool.
        slot: The slot.
        present: Its segments.
        awaited: Those that are being made.
        is_stopped: Whether no more can be made, or may be.
        upto: Rows that are wanted whatever becomes of them: all of a baseline, answers for topics.
    """

    pool: Pool
    slot: str
    present: set[Segment]
    awaited: set[Segment] = field(default_factory=set)
    is_stopped: bool = False
    upto: int = 0

    @property
    def is_open(self) -> bool:
        """Whether rows are to come that are wanted whatever becomes of them."""
        return bool(self.awaited) or (not self.is_stopped and bool(self.lacking(self.upto)))

    def lacking(self, upto: int) -> list[Want]:
        """Return the segments of the first rows that are neither there nor being made."""
        return lacking(self.pool, self.slot, upto, self.present | self.awaited)

    @property
    def in_order(self) -> list[Segment]:
        """Its segments, by their rows."""
        return sorted(self.present, key=lambda segment: segment.start)

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
            for slot, segments in pool.segments(now.seen).items():
                self._supplies[pool.fingerprint, slot] = _Supply(pool, slot, set(segments))
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
        is_filled = all(self._is_settled(judged) for judged in self._judged.values())
        return is_filled and not any(supply.is_open for supply in self._supplies.values())

    @property
    def open_pools(self) -> list[Pool]:
        """The pools that may be extended yet."""
        pools = [
            judged.supply.pool for judged in self._judged.values() if not self._is_settled(judged)
        ]
        pools += [supply.pool for supply in self._supplies.values() if supply.is_open]
        return list({pool.fingerprint: pool for pool in pools}.values())

    @property
    def awaited_rows(self) -> int:
        """Rows that are being made."""
        awaited = (segment for supply in self._supplies.values() for segment in supply.awaited)
        return sum(segment.stop - segment.start for segment in awaited)

    @property
    def unjudged_rows(self) -> int:
        """Rows that are there and not judged; those of two views count twice."""
        return sum(judged.unjudged for judged in self._judged.values())

    def wants(self) -> list[Want]:
        """Return the segments that are to be made now, the most urgent first; each once."""
        wants = {(want.pool.fingerprint, want.segment): want for want in self._wanted()}
        for want in wants.values():
            self._supplies[want.pool.fingerprint, want.segment.slot].awaited.add(want.segment)
        if wants:
            self._known_standings = None
        return in_turn(wants.values())

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
        above = [self._judged[parent.fingerprint, slot] for slot in parent.pool.slots]
        if any(judged.is_stale or judged.is_redone for judged in above):
            return False
        of_parent = self._standings[pool.parent.fingerprint]
        accepted = {label: standing.tally.accepted for label, standing in of_parent.items()}
        fed = pool.parent.feeds(want.segment.slot, accepted)
        return want.segment.stop <= whole_rows(pool, want.segment.slot, fed)

    def to_judge(self) -> list[tuple[View, str]]:
        """Return the slots of views that are to be judged now, each once until it is."""
        due = []
        for judged in self._judged.values():
            enough = max(AT_LEAST, judged.tally.rows // 4)  # resuming a view costs as it grows
            is_due = judged.unjudged >= (enough if judged.supply.awaited else 1)
            if is_due and not judged.is_busy:
                judged.is_busy, judged.is_redone, judged.is_stale = True, judged.is_stale, False
                due.append((judged.view, judged.supply.slot))
        return due

    def arrived(self, part: SegmentRef) -> None:
        """Hear that a segment is there.

        Raises:
            DamagedError: It belongs to a list of topics, and is damaged.
        """
        supply = self._supplies[part.pool, part.segment.slot]
        supply.awaited.discard(part.segment)
        supply.present.add(part.segment)
        if isinstance(supply.pool, TopicPool):
            self._list(supply.pool)
        for judged in self._judged.values():
            if judged.supply is supply and part.segment.start < judged.tally.rows:
                judged.is_stale = True  # a damaged segment was made again under rows judged before
        self._known_standings = None

    def judged(self, done: Curated) -> None:
        """Hear what a slot's rows came to."""
        judged = self._judged[done.view.fingerprint, done.slot]
        judged.is_busy = judged.is_redone = False
        judged.tally = done.tally
        if done.damaged:  # of its pool, or of the view itself
            judged.is_stale = True
            judged.supply.present = set(judged.supply.pool.segments(self._store)[done.slot])
        self._known_standings = None

    def stop(self, pools: Iterable[str]) -> None:
        """Hear that no more rows of pools (fingerprints) will come than are there."""
        for pool in set(pools):
            for (fingerprint, _), supply in self._supplies.items():
                if fingerprint == pool:
                    supply.is_stopped = True
                    supply.awaited.clear()
        self._known_standings = None

    def withdrawn(self, wants: Iterable[Want]) -> None:
        """Hear that segments will not be made now."""
        for want in wants:
            supply = self._supplies[want.pool.fingerprint, want.segment.slot]
            supply.awaited.discard(want.segment)
        self._known_standings = None

    def tally(self, view: View, slot: str) -> Tally:
        """Return what the judged rows of a slot came to."""
        return self._judged[view.fingerprint, slot].tally

    def awaits(self, view: View, slot: str) -> bool:
        """Say whether further rows of a slot are being made or judged."""
        return self._judged[view.fingerprint, slot].is_awaiting

    def can_grow(self, view: View, slot: str) -> bool:
        """Say whether more rows of a slot may be made, or judged."""
        judged = self._judged[view.fingerprint, slot]
        return judged.is_awaiting or not judged.supply.is_stopped

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
        supply = self._supplies[listed.fingerprint, NONE]
        segments = supply.in_order
        if not supply.awaited and not listed.settle(segments, self._store):
            hopeless = listed.is_hopeless(segments, self._store)
            supply.upto = 0 if hopeless else listed.upto(segments, self._store)

    @property
    def _standings(self) -> Standings:
        """Where every label stands; worked out anew when anything has changed."""
        if self._known_standings is None:
            self._known_standings = standings(self._plan, self, most=self._most)
        return self._known_standings

    def _is_settled(self, judged: _Judged) -> bool:
        if judged.is_awaiting:
            return False
        view, slot = judged.view, judged.supply.slot
        of_view = self._standings[view.fingerprint]
        in_slot = [standing for label, standing in of_view.items() if view.slot_of(label) == slot]
        return judged.supply.is_stopped or all(standing.state != "wanting" for standing in in_slot)
