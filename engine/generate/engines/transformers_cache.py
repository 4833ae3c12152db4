"""The keys and values of a batch: written in place, while its rows leave one after another."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DummyLayer, DynamicLayer

ROOM = 64  # columns that a layer grows by: it is copied once in 64 tokens, and not for each


class BatchCache(DynamicCache):
    """The library's cache, whose layers of full attention are written in place.

    Layers of another kind (sliding windows, recurrent states) stay the library's.

    Args:
        config: The model's.
        rows: Rows of the batch.
        width: Tokens of its longest prompt.

    Attributes:
        is_plain: Whether all layers hold every column: only then may rows be filled some at a time
            (``show``), and columns be dropped.
    """

    def __init__(self, config: PreTrainedConfig, rows: int, width: int) -> None:
        super().__init__(config=config)
        self.layers = [
            InPlaceLayer(rows, width) if type(layer) is DynamicLayer else layer
            for layer in self.layers
        ]
        self.is_plain = all(isinstance(layer, InPlaceLayer | DummyLayer) for layer in self.layers)

    def show(self, rows: slice, first: int, stop: int) -> None:
        """Be a cache of these rows alone, whose columns are those from ``first`` to ``stop``."""
        for layer in self._in_place():
            layer.show(rows, first, stop)

    def keep(self, order: Sequence[int], device: torch.device) -> None:
        """Keep the rows named, in this order."""
        indices = torch.tensor(order, device=device)
        for layer in self.layers:
            if isinstance(layer, InPlaceLayer):
                layer.keep(order)
            else:
                layer.reorder_cache(indices)  # type: ignore[arg-type]

    def drop(self, columns: int) -> None:
        """Drop the first columns."""
        for layer in self._in_place():
            layer.drop(columns)

    def _in_place(self) -> list["InPlaceLayer"]:
        return [layer for layer in self.layers if isinstance(layer, InPlaceLayer)]


class InPlaceLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """The keys and values of one layer of full attention, each (rows, heads, columns, numbers).

    ``keys`` and ``values`` are views of the part that is shown.

    Args:
        rows: Rows of the batch.
        width: Columns to begin with, besides room for further ones.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shape = rows, width + ROOM
        self._rows, self._first, self._stop = slice(0, rows), 0, 0
        self._held: tuple[torch.Tensor, torch.Tensor]

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate room for all rows, whichever come first."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._held = self._zeros(key_states), self._zeros(value_states)
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ANN401 - whatever the library passes
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write further columns; return all that are shown."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        further = key_states.shape[-2]
        if self._stop + further > self._shape[1]:
            self._grow(further)
        columns = slice(self._stop, self._stop + further)
        for held, states in zip(self._held, (key_states, value_states), strict=True):
            held[self._rows, :, columns] = states
        self._stop += further
        self.keys, self.values = self._shown()
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Return how many columns are shown."""
        return self._stop - self._first

    def show(self, rows: slice, first: int, stop: int) -> None:
        """Show these rows alone, and of them the columns from ``first`` to ``stop``."""
        self._rows, self._first, self._stop = rows, first, stop

    def keep(self, order: Sequence[int]) -> None:
        """Keep the rows named; of those that have their place already nothing is copied."""
        moved = [(to, source) for to, source in enumerate(order) if to != source]
        for held in self._held if moved else ():
            targets, sources = ([pair[at] for pair in moved] for at in range(2))
            columns = held[:, :, self._first : self._stop]
            columns[targets] = columns[sources]
        self._rows = slice(0, len(order))
        self.keys, self.values = self._shown()

    def drop(self, columns: int) -> None:
        """Drop the first columns."""
        self._first += columns
        self.keys, self.values = self._shown()

    def _shown(self) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (held[self._rows, :, self._first : self._stop] for held in self._held)
        return keys, values

    def _grow(self, further: int) -> None:
        """Make room for further columns; rows and columns that are not shown are let go."""
        shown = self._shown()
        length = self._stop - self._first
        self._shape = shown[0].shape[0], length + further + ROOM
        self._held = self._zeros(shown[0]), self._zeros(shown[1])
        for held, states in zip(self._held, shown, strict=True):
            held[:, :, :length] = states
        self.show(slice(0, self._shape[0]), 0, length)

    def _zeros(self, states: torch.Tensor) -> torch.Tensor:
        # zeros, and not whatever the memory held: what is masked is still multiplied
        rows, columns = self._shape
        return states.new_zeros((rows, states.shape[1], columns, states.shape[3]))
