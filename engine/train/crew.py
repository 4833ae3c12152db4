"""What keeps groups of workers up: Ray Train, or this process."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from engine.nodes.executor import Executor
from engine.store.store import Store
from engine.train.placement import Group
from engine.train.worker import GroupSpec

DEATHS = 8  # of a group, before another is started in its place


class Crew(Protocol):
    """Keeps groups of workers up, which do runs until the queue says that there are no more.

    A worker that dies is replaced, and joins the queue again; ``DEATHS`` times.
    """

    def start(self, group: Group, duty: GroupSpec) -> None:
        """Start a group, which is called by the number in its duty."""
        ...

    def ended(self, seconds: float) -> Mapping[int, BaseException | None]:
        """Return which groups ended since the last time, and what of if too early.

        Args:
            seconds: How long to wait for the first, if any is up.
        """
        ...

    def give_up(self, number: int) -> None:
        """End a group whose node is gone."""
        ...

    def wait(self) -> None:
        """Wait until all have ended."""
        ...


def crew_of(executor: Executor, store: Store, *, is_alone: bool) -> AbstractContextManager[Crew]:
    """Return what keeps groups up on an executor.

    Args:
        executor: The executor.
        store: The root.
        is_alone: Whether nothing else computes meanwhile.
    """
    if executor.name == "ray":  # each is loaded where it is wanted alone: Ray takes its time
        from engine.train.crew_on_ray import RayCrew

        return RayCrew(store)
    from engine.train.crew_here import HereCrew

    return HereCrew(is_alone=is_alone)
