"""The workers that train one run together, data-parallel; mostly that is one by itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # one by itself has no need to load torch
    import torch

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This worker's place among those that train a run together.

    Every method must be called by all of them, in the same order.

    Attributes:
        rank: This one's number, from 0.
        size: How many they are; 1 needs no process group.
    """

    rank: int = 0
    size: int = 1

    def share(self, places: Sequence[int]) -> Sequence[int]:
        """Return this worker's part of a batch; it may be empty."""
        return places[self.rank :: self.size]

    def add_up(self, tensors: "Iterable[torch.Tensor]") -> None:
        """Replace each tensor by its sum over the workers."""
        if self.size > 1:
            import torch.distributed as dist

            pending = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
            for reduction in pending:
                reduction.wait()

    def gather(self, value: T) -> list[T]:
        """Return every worker's value, by rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def hear(self, value: T) -> T:
        """Return the first worker's value."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        values = [value]
        dist.broadcast_object_list(values)
        return values[0]
