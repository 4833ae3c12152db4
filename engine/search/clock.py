"""How long a search has been at work, all its sittings together, and when that is enough."""

import time
import uuid

from engine.errors import TextmillError
from engine.make.progress import Progress, Watch
from engine.status.spent import HOUR_S
from engine.store.kinds import damage
from engine.store.seal import seal_document
from engine.store.store import Store

NOTED_EVERY_S = 20.0  # at least, at the next progress: what a sitting that is killed can lose
WORK = ("generate", "curate", "train")  # what there is no more of when it is over


class OutOfTimeError(TextmillError):
    """A search has been at work for as long as it may."""


class Clock:
    """Counts the hours of a search, and notes them in a file for each sitting.

    Args:
        folder: Where the sittings are noted, in the store.
        store: The root.
        limit_h: Hours after which it is over; None for no limit.
    """

    def __init__(self, folder: str, store: Store, limit_h: float | None) -> None:
        self._folder, self._store = f"{folder}/sittings", store
        self._limit_h = limit_h
        self._before_s: float = sum(
            float(store.document(f"{self._folder}/{name}")["seconds"])
            for name in store.names(self._folder)
            if not damage(store, f"{self._folder}/{name}")  # which is told before rows are made
        )
        self._sitting = f"{self._folder}/{uuid.uuid4().hex}.json"
        self._began = self._noted = time.monotonic()

    @property
    def hours(self) -> float:
        """The hours so far."""
        return (self._before_s + time.monotonic() - self._began) / HOUR_S

    @property
    def is_over(self) -> bool:
        """Whether they are as many as there may be."""
        return self._limit_h is not None and self.hours >= self._limit_h

    def note(self) -> None:
        """Write down how long this sitting has been."""
        self._noted = time.monotonic()
        seconds = round(self._noted - self._began, 1)
        self._store.publish(self._sitting, seal_document({"kind": "sitting", "seconds": seconds}))

    def watching(self, watch: Watch) -> Watch:
        """Return a watch that passes on all progress, and ends work that goes beyond the limit.

        Where nothing is to be made there is no work: what the store has is read off at any time.
        """

        def noting(progress: Progress) -> None:
            watch(progress)
            if time.monotonic() - self._noted > NOTED_EVERY_S:
                self.note()
            if self.is_over and progress.stage in WORK:
                raise OutOfTimeError("the search has been at work for as long as it may")

        return noting
