"""A batch of prompts and what is written after them, as a causal language model computes it."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from engine.generate.engines.transformers_cache import BatchCache

TOGETHER = (
    2048  # tokens of prompts, with padding, that are computed together: more is slower on a CPU
)


class Batch:
    """Rows whose last tokens stand in one column; each step gives every row one more.

    A model that the library gives no cache of keys and values is given whole texts at each step.

    Args:
        model: The model, a class of the library's choosing.
        prompts: Each row's tokens; rows of like length side by side take the least padding.
        padding: The token that is put before shorter ones.
        device: Where the model is.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        prompts: Sequence[Sequence[int]],
        padding: int,
        device: torch.device,
    ) -> None:
        self._model, self._device = model, device
        self._takes = frozenset(inspect.signature(model.forward).parameters)
        self._lengths = [len(tokens) for tokens in prompts]
        width = max(self._lengths)
        pads = [width - length for length in self._lengths]
        self._ids = self._tensor(
            [[padding] * pad + list(tokens) for pad, tokens in zip(pads, prompts, strict=True)]
        )
        self._mask = self._tensor([[0] * pad + [1] * (width - pad) for pad in pads])
        self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
        self._cache: BatchCache | None = None
        if model._supports_default_dynamic_cache():
            config = model.config.get_text_config(decoder=True)
            self._cache = BatchCache(config, len(prompts), width)

    def read(self) -> torch.Tensor:
        """Compute the prompts.

        Returns:
            The scores of each row's next token, shape (rows, vocabulary), float32.
        """
        cache, width = self._cache, self._ids.shape[1]
        if cache is None or not cache.is_plain:
            return self._scores(slice(None), 0, is_first=True)
        scores = []
        for rows in self._alike():
            first = width - max(self._lengths[rows])
            cache.show(rows, first, first)
            scores.append(self._scores(rows, first, is_first=True))
        cache.show(slice(0, len(self._lengths)), 0, width)
        return torch.cat(scores)

    def add(self, tokens: Sequence[int]) -> torch.Tensor:
        """Take each row's next token; return the scores of the one after it, as ``read`` does."""
        added = self._tensor([[token] for token in tokens])
        self._ids = torch.cat([self._ids, added], 1)
        self._mask = torch.cat([self._mask, torch.ones_like(added)], 1)
        self._positions = torch.cat([self._positions, self._positions[:, -1:] + 1], 1)
        self._lengths = [length + 1 for length in self._lengths]
        return self._scores(slice(None), 0, is_first=False)

    def keep(self, order: Sequence[int]) -> None:
        """Keep the rows named, in this order; a column that is padding in all of them may go."""
        self._lengths = [self._lengths[row] for row in order]
        can_drop = self._cache is not None and self._cache.is_plain
        spare = self._ids.shape[1] - max(self._lengths) if can_drop else 0
        rows = torch.tensor(order, device=self._device)
        self._ids, self._mask, self._positions = (
            held[rows, spare:] for held in (self._ids, self._mask, self._positions)
        )
        if self._cache is not None:
            self._cache.keep(order, self._device)
            self._cache.drop(spare)

    def _alike(self) -> Iterator[slice]:
        """Yield rows that are computed together: neighbours, as many as ``TOGETHER`` allows."""
        start = longest = 0
        for row, length in enumerate(self._lengths):
            longest = max(longest, length)
            if row > start and (row + 1 - start) * longest > TOGETHER:
                yield slice(start, row)
                start, longest = row, length
        yield slice(start, len(self._lengths))

    def _scores(self, rows: slice, first: int, *, is_first: bool) -> torch.Tensor:
        """Run the model on some rows, from a column on: on all of it first, then on the last."""
        is_padded = min(self._lengths[rows]) < self._ids.shape[1] - first
        offered = {"position_ids": self._positions[rows, first:], "logits_to_keep": 1}
        name = "cache_params" if "cache_params" in self._takes else "past_key_values"
        inputs = self._model.prepare_inputs_for_generation(
            self._ids[rows, first:],
            next_sequence_length=None if is_first or self._cache is None else 1,
            attention_mask=self._mask[rows, first:] if is_padded else None,
            use_cache=self._cache is not None,
            is_first_iteration=is_first,
            **{name: self._cache},
            **{key: value for key, value in offered.items() if key in self._takes},
        )
        output = self._model(**inputs, return_dict=True)
        if self._cache is not None and getattr(output, name, None) is not self._cache:
            self._cache = None  # code from outside the library, with a cache of its own
        # a copy: of all that the model returned nothing else is held
        scores: torch.Tensor = output.logits[:, -1].to(self._device, torch.float32, copy=True)
        return scores

    def _tensor(self, numbers: list[list[int]]) -> torch.Tensor:
        return torch.tensor(numbers, device=self._device)
