"""Where trials ask to be measured, and the search tells them what they came to: a service."""

import asyncio
from collections.abc import Iterable, Mapping

from engine.search.trial import Point, Verdict


class PhaseBarrier:
    """Brings the trials of a phase together.

    Trials and the searcher are in Ray Tune's hands; measuring is the driver's. A phase begins when
    every trial that the searcher has at work has asked, so that it has the same trials whatever
    was faster. It is a service, whose methods wait for each other.
    """

    def __init__(self) -> None:
        self._expected: set[int] = set()
        self._asking: dict[int, Point] = {}
        self._verdicts: dict[tuple[int, int], Verdict] = {}
        self._changed = asyncio.Condition()

    async def expect(self, numbers: Iterable[int]) -> None:
        """Hear which trials are at work, now that no further one joins them in this phase."""
        async with self._changed:
            self._expected = set(numbers)
            self._changed.notify_all()

    async def measured(self, number: int, point: Point, at: int) -> Verdict:
        """Ask for a trial's measurement ``at``; return what it came to, once that is known.

        A trial whose process was killed begins anew, and is told at once what it was told before.
        """
        async with self._changed:
            if (number, at) not in self._verdicts:
                self._asking[number] = point
                self._changed.notify_all()
            await self._changed.wait_for(lambda: (number, at) in self._verdicts)
            return self._verdicts[number, at]

    async def phase(self, seconds: float) -> dict[int, Point] | None:
        """Return the trials that ask, once all do; None if that takes longer."""

        def is_ready() -> bool:
            return bool(self._expected) and self._expected == set(self._asking)

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(is_ready), timeout=seconds)
            except TimeoutError:
                return None
            return dict(self._asking)

    async def tell(self, verdicts: Mapping[int, Verdict]) -> None:
        """Say what the trials of a phase came to."""
        async with self._changed:
            self._verdicts |= {
                (number, verdict.at): verdict for number, verdict in verdicts.items()
            }
            self._expected, self._asking = set(), {}
            self._changed.notify_all()
