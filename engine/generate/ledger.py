"""What is wanted and what was made: a service between the driver and the passes of the engines.

It holds nothing that the store's files do not tell: if it dies, the next command feeds a new one.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.generate.events import Event, GivenUp, Lost, Made, Refused, SegmentRef

LOSSES = 3  # of one replica, without a segment made in between, before it is given no more work


@dataclass
class Terms:
    """How a group's segments are handed out.

    Attributes:
        replicas: Engines that are expected; there may be more once nodes join.
        room: Rows that may be out at a time, for each of them; see ``spare``.
        spare: Rows that may be out at a time, however few engines there are.
        least: Rows of a call, if there are as many.
        most: Rows of a call, at most; but one segment at least.
        ways: Calls that what waits is divided into for each engine, while they are not too small.
    """

    replicas: int
    room: int
    spare: int
    least: int
    most: int
    ways: int


@dataclass
class _Group:
    terms: Terms
    waiting: deque[SegmentRef] = field(default_factory=deque)
    out: set[SegmentRef] = field(default_factory=set)
    number: int = 0  # of the pass
    has_source: bool = False
    is_closed: bool = False
    losses: dict[str, int] = field(default_factory=dict)  # in a row, by replica
    starts: dict[str, int] = field(default_factory=dict)
    reported: dict[str, int] = field(default_factory=dict)  # losses that the replica itself told of
    idle: set[str] = field(default_factory=set)  # replicas that are given no more work

    @property
    def width(self) -> int:
        """How many engines there are, or are to be."""
        return max(self.terms.replicas, len(self.starts))

    def put(self, parts: Iterable[SegmentRef]) -> None:
        """Let segments wait, so that all labels of all pools come forward together."""
        waiting = sorted([*self.waiting, *parts], key=lambda part: part.segment.start)
        self.waiting = deque(waiting)


class Ledger:
    """Hands out segments in calls, and passes on what becomes of them.

    It is a service: its methods run in turns, and wait for each other.
    """

    def __init__(self, terms: dict[str, Terms]) -> None:
        self._groups = {name: _Group(group_terms) for name, group_terms in terms.items()}
        self._pools: dict[str, Any] = {}
        self._events: deque[Event] = deque()
        self._changed = asyncio.Condition()

    async def open(self, group: str, terms: Terms, pools: Mapping[str, Any]) -> None:
        """Hear of pools that join a group, which may be new itself.

        Args:
            group: The group.
            terms: Its terms, if it is new.
            pools: The pools, by fingerprint.
        """
        self._groups.setdefault(group, _Group(terms))
        self._pools |= pools

    async def pool(self, group: str, fingerprint: str) -> Any:  # noqa: ANN401 - a Pool
        """Return a pool that joined a group after its pass began."""
        return self._pools[fingerprint]

    async def want(self, group: str, parts: Iterable[SegmentRef]) -> None:
        """Ask for segments; those of lower indices go first, whenever they were asked for."""
        self._groups[group].put(parts)
        await self._notify()

    async def close(self, group: str) -> None:
        """Say that nothing more will be wanted; the group's pass ends, if it was ever begun."""
        if group in self._groups:
            self._groups[group].is_closed = True
        await self._notify()

    async def begin(self, group: str) -> int:
        """Say that the pass's source begins; return the pass's number, 0 if it had begun before.

        Ray tries a source that was killed again, but passes on only what it yields beyond what the
        first one had: such a pass would wait for ever for calls that nobody makes.
        """
        state = self._groups[group]
        if state.has_source:
            return 0
        state.has_source = True
        state.number += 1
        return state.number

    async def begin_anew(self, group: str) -> None:
        """Take back what is out with a pass that ended: another will make it, with new replicas."""
        state = self._groups[group]
        state.put(state.out)
        state.out.clear()
        state.has_source = False
        state.number += 1  # whoever waits for the pass that ended waits in vain
        for of_replicas in (state.losses, state.starts, state.reported, state.idle):
            of_replicas.clear()
        await self._notify()

    async def next(self, group: str, number: int) -> list[SegmentRef] | None:
        """Return the next call's segments, once there is room; None when the pass is to end.

        Args:
            group: The group.
            number: The pass's number; Ray lets a call go on whose caller was killed.
        """
        state = self._groups[group]

        def is_over() -> bool:
            return state.is_closed or state.number != number

        async with self._changed:
            await self._changed.wait_for(lambda: is_over() or _has_room(state))
        if is_over():
            return None
        call = _packed(state)
        state.out.update(call)
        return call

    async def take(self, group: str, parts: list[SegmentRef]) -> list[SegmentRef]:
        """Return which of a call's segments are still to be made, as it begins."""
        state = self._groups[group]
        return [] if state.is_closed else [part for part in parts if part in state.out]

    async def start(self, group: str, replica: str) -> bool:
        """Say that a replica starts its engine; False if it should not."""
        state = self._groups[group]
        starts = state.starts[replica] = state.starts.get(replica, 0) + 1
        unheard = starts - 1 - state.reported.get(replica, 0)
        if unheard > 0:
            state.reported[replica] = starts - 1
            await self._lose(group, replica, "its process was killed, perhaps for want of memory")
        return replica not in state.idle and not state.is_closed

    async def leave(self, group: str, replica: str) -> None:
        """Say that a replica is let go: there is less work than engines, or the pass ends."""
        state = self._groups[group]
        for of_replicas in (state.losses, state.starts, state.reported):
            of_replicas.pop(replica, None)
        state.idle.discard(replica)
        if state.starts and state.idle >= set(state.starts) and not state.is_closed:
            await self.give_up(group, "those that are left are given no more work")
        await self._notify()

    async def tell(self, event: Event) -> None:
        """Report what happened."""
        state = self._groups[event.group]
        if isinstance(event, Lost):
            state.reported[event.replica] = state.reported.get(event.replica, 0) + 1
            await self._lose(*event)
            return
        if isinstance(event, Made):
            state.out.discard(event.part)
            state.losses[event.replica] = 0
        if isinstance(event, Refused):
            state.is_closed = True
        self._events.append(event)
        await self._notify()

    async def give_up(self, group: str, cause: str) -> None:
        """End a group: no engine of it can work."""
        state = self._groups[group]
        if not state.is_closed:
            state.is_closed = True
            self._events.append(GivenUp(group, cause))
        await self._notify()

    async def put_back(self, group: str, parts: Iterable[SegmentRef]) -> None:
        """Let segments wait again that are out and that nobody makes."""
        state = self._groups[group]
        unmade = [part for part in parts if part in state.out]
        state.out.difference_update(unmade)
        state.put(unmade)
        await self._notify()

    async def sit_out(self, group: str, parts: list[SegmentRef]) -> None:
        """Put back what a replica cannot do, and keep it waiting until the group's work is done.

        While it waits it holds its calls, and so is given no others.
        """
        state = self._groups[group]
        number = state.number
        await self.put_back(group, parts)
        async with self._changed:
            await self._changed.wait_for(lambda: state.is_closed or state.number != number)

    async def hear(self, seconds: float) -> list[Event]:
        """Return what happened since the last time, after so many seconds at most."""
        async with self._changed:
            with contextlib.suppress(TimeoutError):  # without a look, if it is not to wait at all
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: bool(self._events)), timeout=seconds
                )
        events = list(self._events)
        self._events.clear()
        return events

    async def _lose(self, group: str, replica: str, cause: str) -> None:
        state = self._groups[group]
        state.losses[replica] = state.losses.get(replica, 0) + 1
        self._events.append(Lost(group, replica, cause))
        if state.losses[replica] >= LOSSES:
            state.idle.add(replica)
        if replica in state.idle and state.idle >= set(state.starts):
            await self.give_up(group, cause)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _has_room(group: _Group) -> bool:
    if not group.waiting:
        return False
    out = sum(part.rows for part in group.out)
    room = max(group.terms.spare, group.terms.room * group.width)
    return out == 0 or out + group.waiting[0].rows <= room


def _packed(group: _Group) -> list[SegmentRef]:
    """Take the next call's segments from those that wait; smaller ones towards the end."""
    rows = sum(part.rows for part in group.waiting)
    upto = min(
        group.terms.most, max(group.terms.least, -(-rows // (group.terms.ways * group.width)))
    )
    call = [group.waiting.popleft()]
    while group.waiting and sum(part.rows for part in call) + group.waiting[0].rows <= upto:
        call.append(group.waiting.popleft())
    return call
