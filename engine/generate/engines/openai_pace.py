"""How often somebody is asked: evenly, so that no minute holds more than was said."""

import asyncio
import time


class Clock:
    """The time by which an engine waits; a test may bring one that is faster."""

    def now(self) -> float:
        """Return seconds, counted from anywhere."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        await asyncio.sleep(seconds)


class Pace:
    """Lets so many units pass per minute, one request after the other.

    Libraries for this (aiolimiter, limits, pyrate-limiter) let a minute's worth pass at once, which
    servers that count by the second refuse; and they cannot be told afterwards what a request
    really took.
    """

    def __init__(self, per_minute: float | None, clock: Clock | None = None) -> None:
        self._seconds = 60 / per_minute if per_minute else 0.0
        self._clock = clock or Clock()
        self._free_at = 0.0
        self._turn = asyncio.Lock()

    async def wait(self, units: float) -> None:
        """Return when a request of so many units may be sent; first come, first served."""
        async with self._turn:
            while (remaining := self._free_at - self._clock.now()) > 0:
                await self._clock.sleep(min(remaining, 1))  # a correction may bring it nearer
            self._free_at = self._clock.now() + units * self._seconds

    def correct(self, units: float) -> None:
        """Count so many units more, or fewer, for a request that was let pass."""
        self._free_at += units * self._seconds
