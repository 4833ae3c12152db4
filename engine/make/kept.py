"""Engines that stay up from one plan to the next."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from engine.nodes.room import Room
from engine.steps.pool import Pool
from engine.store.store import Store
from engine.study.resources import Resources

if TYPE_CHECKING:
    from engine.generate.generation import Generation


class SharedEngines(contextlib.ExitStack):
    """Engines that stay up from one plan to the next, in a room of their own beside training.

    Use it as a context manager.

    Args:
        store: The root.
        resources: Engines' resources.
        made_for: The study that rows are made for.
        room: What of the cluster the engines may take.
    """

    def __init__(self, store: Store, resources: Resources, made_for: str, room: Room) -> None:
        super().__init__()
        self._store, self._resources, self._made_for, self._room = store, resources, made_for, room
        self._generation: Generation | None = None

    @contextlib.contextmanager
    def engines(self, pools: Iterable[Pool]) -> Iterator["Generation"]:
        """Lend the engines, which start where need be, to the body for these pools."""
        from engine.generate.generation import Generation, Lease  # it loads Ray

        if self._generation is None:
            lease = Lease(self._room, lasts=True)
            generation = Generation(pools, self._store, self._resources, self._made_for, lease)
            self._generation = self.enter_context(generation)
        else:
            self._generation.open(pools)
        yield self._generation
