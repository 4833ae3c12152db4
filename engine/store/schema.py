"""The rows that pass between stages: what a row is called, and the columns of each kind of file."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import pyarrow as pa

from engine.fingerprint import SHORT

Item = TypeVar("Item")
Metric = Literal["accuracy", "macro_f1"]  # what conditions are compared by
GOLD = pa.schema(
    [("id", pa.string()), ("label", pa.string()), ("text", pa.string()), ("text_pair", pa.string())]
)
POOL = pa.schema(
    [
        ("id", pa.string()),
        ("slot", pa.string()),
        ("index", pa.int64()),
        ("prompt", pa.string()),
        ("completion", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("finish_reason", pa.string()),
        ("mean_logprob", pa.float64()),
        ("attributes", pa.string()),  # JSON: what was drawn for the prompt, such as its shots
        ("error", pa.string()),
    ]
)
VIEW = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.string()),
        ("text", pa.string()),
        ("text_pair", pa.string()),
        ("status", pa.string()),  # "accepted" or "refused"
        ("reason", pa.string()),  # why it was refused, else null
        *[field for field in POOL if field.name != "id"],
    ]
)
EMBEDDING_COLUMNS = ("key", "vector")
# of a result: what published numbers know it by, and what its comparisons need to know
KNOWN_BY = ("task", "method", "is_rephrased", "is_random", "took")
RESULT_COLUMNS = (
    "quantity",
    "real",
    "replicate",
    "repeat",
    "split",
    "accuracy",
    "macro_f1",
    "rows_synthetic",
    "rows_real",
    "rows_real_seen",
    "steps_done",
    "train_seconds",
    "pool",
    "run",
)


@dataclass(frozen=True, slots=True)
class RowId:
    """The identity of one generated row, from which all of its random draws follow.

    Attributes:
        pool: The pool's full fingerprint.
        slot: The asked label, or ``-`` where none is asked.
        index: The row's number within its slot, from 0.
    """

    pool: str
    slot: str
    index: int

    def __str__(self) -> str:
        return f"{self.pool[:SHORT]}/{self.slot}/{self.index}"

    def draws(self, purpose: str) -> "Draws":
        """Return this row's random draws for one purpose; same row, same draws."""
        return Draws(self.pool, self.slot, str(self.index), purpose)


def storable(text: str) -> str:
    """Return a text as Parquet can hold it: a lone surrogate, which is no character, becomes ``?``.

    A byte-level tokenizer can leave one behind, and so can an escape in JSON.
    """
    return text.encode("utf-8", "replace").decode()


class Draws:
    """Random draws that follow from names alone.

    Only ``random.Random.random`` is used, the one method whose sequence Python promises to keep.
    """

    def __init__(self, *names: str) -> None:
        text = "\x1f".join(names).encode("utf-8", "surrogatepass")
        self._random = random.Random(int.from_bytes(hashlib.sha256(text).digest(), "big"))

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to ``limit - 1``."""
        return int(self._random.random() * limit)

    def choice(self, items: Sequence[Item]) -> Item:
        """Return one of ``items``."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """Return ``count`` different places' items, in drawn order."""
        remaining = list(range(len(items)))
        return [items[remaining.pop(self.below(len(remaining)))] for _ in range(count)]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Return all items in drawn order."""
        keys = [self._random.random() for _ in items]
        return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]

    def seed(self) -> int:
        """Return a number from 0 to 2**31 - 1, for libraries that want a seed."""
        return self.below(2**31)


NONE = "-"  # the slot of rows that are asked without a label, and the label of those that have none
