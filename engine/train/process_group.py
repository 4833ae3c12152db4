"""Workers that train one run together, data-parallel, in a process group of torch's."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from engine.train.world import World

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup(World):
    """This worker's place in the process group that is up, of two workers or more."""

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the workers."""
        pending = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
        for reduction in pending:
            reduction.wait()

    def gather(self, value: T) -> list[T]:
        """Return every worker's value, by rank."""
        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def hear(self, value: T) -> T:
        """Return the first worker's value."""
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]
