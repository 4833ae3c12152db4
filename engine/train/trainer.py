"""What makes a classifier of a training set: the seam for trainers, and their table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from engine.plugins import PluginKind
from engine.steps.mix import Example
from engine.steps.run import Run
from engine.store.store import Store
from engine.study.config import TrainConfig
from engine.tasks.task import Split
from engine.train.world import World

TRAINERS: Mapping[str, str] = {
    "finetune": "engine.train.trainers.finetune:Finetune",
    "head": "engine.train.trainers.head:Head",
}


class RowSet(NamedTuple):
    """Rows to train on or to predict; equal ``content`` means equal rows.

    Attributes:
        content: Their content hash, or the name of their file.
        examples: The rows.
        synthetic: How many of them are synthetic; those come first.
    """

    content: str
    examples: Sequence[Example]
    synthetic: int = 0


@dataclass(frozen=True)
class Hardware:
    """How runs are trained, which changes nothing about what they come to but rounding.

    Attributes:
        device: Where, as torch names it.
        micro_batch: Rows of a batch that are computed at a time; all if None.
        is_compiled: Whether classifiers are compiled first.
        world: The workers that train each run together.
    """

    device: str = "cpu"
    micro_batch: int | None = None
    is_compiled: bool = False
    world: World = field(default_factory=World)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run brought.

    Attributes:
        predictions: Label numbers for each scored split, in its rows' order.
        seconds: Time of the training alone, without loading, embedding and scoring; looks at
            validation on the way are in it.
        score_seconds: Time of predicting the scored splits.
        steps: Optimiser steps done; None for a trainer that counts none.
        best_step: The step whose weights did best on validation and were kept; None if the last
            ones were.
        last_loss: Mean training loss over the last tenth of the steps; None likewise.
        embed_seconds: Time until the rows' vectors were there, from the cache or the encoder, its
            loading included; None where nothing is embedded.
        save: Writes the trained classifier's files into a folder; None where it cannot be kept.
    """

    predictions: Mapping[Split, Sequence[int]]
    seconds: float
    score_seconds: float = 0.0
    steps: int | None = None
    best_step: int | None = None
    last_loss: float | None = None
    embed_seconds: float | None = None
    save: Callable[[Path], None] | None = field(default=None, compare=False)


class Trainer(Protocol):
    """Built once per warm worker, so that it can keep what the next run can use.

    Attributes:
        reads: The fields of TrainConfig that the trainer reads; the others must not change what it
            does, for they identify none of its runs.
        draws: Whether anything about it is random. If not, it must not look at the run's
            ``repeat``: all repeats are one run.
        splits: Whether several workers can train a run together; otherwise the first of them does
            it by itself.
    """

    reads: ClassVar[frozenset[str]]
    draws: ClassVar[bool]
    splits: ClassVar[bool]

    def __init__(self, store: Store) -> None: ...

    def train(
        self, run: Run, rows: RowSet, scored: Mapping[Split, RowSet], how: Hardware
    ) -> Trained:
        """Train a classifier and predict the scored splits.

        Args:
            run: What to train.
            rows: Its training set, of one row at least.
            scored: The splits to predict.
            how: Where, and how much at a time.

        Raises:
            NoMemoryError: There is not enough memory.
            RunFailedError: The run came to nothing by itself.
        """
        ...


NEEDS = ("reads", "draws", "splits", "train")


_KIND = PluginKind[Trainer]("trainer", TRAINERS, NEEDS, TrainConfig.model_fields)
trainer_class = cache(_KIND.load)  # plans ask by the hundred thousand


def training_fields(config: TrainConfig) -> set[str]:
    """Return the fields of a training recipe that its trainer reads; only those identify a run.

    Where epochs are counted, steps are not read.

    Raises:
        PluginError: There is no such trainer.
    """
    fields = {"trainer", *trainer_class(config.trainer).reads}
    return fields - ({"steps"} if config.epochs is not None and "epochs" in fields else set())
