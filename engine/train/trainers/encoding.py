"""Rows as a model's inputs: tokenised once, then cut into batches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from engine.models import Model
from engine.steps.mix import Example
from engine.store.schema import Draws

BUCKET = 50  # batches that are sorted by length together; more saves padding, fewer mixes better


@dataclass(frozen=True)
class Encoded:
    """Tokenised rows.

    Attributes:
        inputs: A model's inputs by name, each of shape (rows, longest row's tokens), padded to the
            right.
        lengths: Tokens of each row, shape (rows,).
        labels: Label numbers, shape (rows,).
        weights: What each row counts for in the loss, shape (rows,).
    """

    inputs: Mapping[str, NDArray[np.int32]]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return sum(tokens.nbytes for tokens in self.inputs.values())


def load_tokenizer(model: Model) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer."""
    return AutoTokenizer.from_pretrained(
        model.place, revision=model.revision or "main", trust_remote_code=False
    )


def encode(
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    labels: Sequence[str],
    max_length: int,
    pad: int = 0,
) -> Encoded:
    """Tokenise rows; pairs are joined as the model's tokenizer joins them, the longer one cut.

    Args:
        tokenizer: The model's.
        examples: The rows, one at least.
        labels: The task's labels: a label's number is its place.
        max_length: Longest input, in tokens; the rest is cut off.
        pad: The id that fills a row up.

    Returns:
        The rows, of weight 1 each.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    texts = [example.text for example in examples]
    pairs = [example.text_pair for example in examples]
    has_pairs = pairs[0] is not None
    limit = min(max_length, tokenizer.model_max_length)
    batch = tokenizer(texts, pairs if has_pairs else None, truncation=True, max_length=limit)
    lengths = np.array([len(line) for line in batch["input_ids"]])
    inputs = {
        name: _filled(lines, lengths, pad if name == "input_ids" else 0)
        for name, lines in batch.items()
    }
    wanted = np.array([numbers[example.label] for example in examples])
    return Encoded(inputs, lengths, wanted, np.ones(len(texts), np.float32))


def _filled(
    lines: Sequence[Sequence[int]], lengths: NDArray[np.int64], fill: int
) -> NDArray[np.int32]:
    filled = np.full((len(lines), lengths.max()), fill, np.int32)
    for place, line in enumerate(lines):
        filled[place, : len(line)] = line
    return filled


def collate(rows: Encoded, places: Sequence[int], device: torch.device) -> dict[str, torch.Tensor]:
    """Return rows as a model's inputs, as wide as the longest of them.

    Returns:
        Tensors of shape (rows, longest) by name.
    """
    longest = rows.lengths[places].max()
    batch: dict[str, Any] = {name: tokens[places, :longest] for name, tokens in rows.inputs.items()}
    return {name: torch.from_numpy(tokens).long().to(device) for name, tokens in batch.items()}


def batches(rows: Encoded, size: int, repeat: int) -> Iterator[list[int]]:
    """Yield batches for ever: each pass over the rows in an order of its own.

    Rows are shuffled, and every ``BUCKET`` batches of them are sorted by length, so that a batch
    holds rows of like length and little padding; the batches are then shuffled.

    Args:
        rows: The rows.
        size: Rows of a batch; the last of a bucket may have fewer.
        repeat: Number of the training, from which the order follows.
    """
    generator = np.random.RandomState(Draws("batches", str(repeat)).seed())
    while True:
        order = generator.permutation(len(rows))
        batched: list[list[int]] = []
        for start in range(0, len(rows), BUCKET * size):
            bucket = order[start : start + BUCKET * size]
            bucket = bucket[np.argsort(rows.lengths[bucket], kind="stable")]
            batched += [
                bucket[first : first + size].tolist() for first in range(0, len(bucket), size)
            ]
        for place in generator.permutation(len(batched)):
            yield batched[place]
