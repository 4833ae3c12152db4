"""What makes a classifier of a training set: the seam for trainers, and their table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from engine.mix.stage import Example
from engine.plugins import load
from engine.store import Store
from engine.study.config import TrainConfig
from engine.tasks.task import Split
from engine.train.run import Run

TRAINERS: Mapping[str, str] = {
    "finetune": "engine.train.finetune:Finetune",
    "head": "engine.train.head:Head",
}


class RunFailedError(Exception):
    """A run came to nothing by itself; the message says why."""


class RowSet(NamedTuple):
    """Rows to train on or to predict; equal ``content`` means equal rows."""

    content: str
    examples: Sequence[Example]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run brought.

    Attributes:
        predictions: Label numbers for each scored split, in its rows' order.
        seconds: Time of the training alone, without loading, embedding and scoring.
        steps: Optimiser steps done; None for a trainer that counts none.
        last_loss: Mean training loss over the last tenth of the steps; None likewise.
        embed_seconds: Time until the rows' vectors were there, from the cache or the encoder, its
            loading included; None where nothing is embedded.
    """

    predictions: Mapping[Split, Sequence[int]]
    seconds: float
    steps: int | None = None
    last_loss: float | None = None
    embed_seconds: float | None = None


class Trainer(Protocol):
    """Built once per warm worker, so that it can keep what the next run can use.

    Attributes:
        reads: The fields of TrainConfig that the trainer reads; the others must not change what it
            does, for they identify none of its runs.
        draws: Whether anything about it is random. If not, it must not look at the run's
            ``repeat``: all repeats are one run.
    """

    reads: ClassVar[frozenset[str]]
    draws: ClassVar[bool]

    def __init__(self, store: Store) -> None: ...

    def train(self, run: Run, rows: RowSet, scored: Mapping[Split, RowSet]) -> Trained:
        """Train a classifier and predict the scored splits.

        Args:
            run: What to train.
            rows: Its training set, of one row at least.
            scored: The splits to predict.

        Raises:
            RunFailedError: The run came to nothing by itself.
        """
        ...


NEEDS = ("reads", "draws", "train")


def trainer_class(name: str) -> type[Trainer]:
    """Return the trainer of that name.

    Raises:
        PluginError: There is none.
    """
    found: type[Trainer] = load("trainer", TRAINERS, name, NEEDS)
    return found


def training_fields(config: TrainConfig) -> set[str]:
    """Return the fields of a training recipe that its trainer reads; only those identify a run.

    Raises:
        PluginError: There is no such trainer.
    """
    return {"trainer", *trainer_class(config.trainer).reads}
