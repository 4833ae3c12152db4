"""The workers that train one run together; mostly that is one by itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This worker's place among those that train a run together; here it is alone.

    Every method must be called by all of them, in the same order. It needs no library: several are
    a ``engine.train.process_group.ProcessGroup``.

    Attributes:
        rank: This one's number, from 0.
        size: How many they are.
    """

    rank: int = 0
    size: int = 1

    def share(self, places: Sequence[int]) -> Sequence[int]:
        """Return this worker's part of a batch; it may be empty."""
        return places[self.rank :: self.size]

    def add_up(self, tensors: Iterable[Any]) -> None:
        """Replace each tensor (of torch) by its sum over the workers."""

    def gather(self, value: T) -> list[T]:
        """Return every worker's value, by rank."""
        return [value]

    def hear(self, value: T) -> T:
        """Return the first worker's value."""
        return value
