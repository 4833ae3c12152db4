"""A run's specification, and the one file that it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.fingerprint import SHORT, Plain
from engine.models import Model
from engine.steps.mix import Mix
from engine.study.config import TrainConfig
from engine.tasks.task import Split

SCORED: tuple[Split, ...] = ("validation", "test")


@dataclass(frozen=True)
class Run:
    """One classifier to train.

    Attributes:
        fingerprint: Its identity, 64 hex digits.
        label: What it is called on disk, before the hash.
        mix: How to put its training set together.
        content: The content hash that the training set must have.
        config: The training recipe.
        model: The classifier.
        precision: "float32", "bfloat16" or "float16".
        repeat: Number of the training, from 0; always 0 for a trainer that draws nothing.
        scored: The store's files with the splits to predict.
        reads: What the fingerprint is made of, besides inputs.
        inputs: The contents of the training set and of the splits to predict, and how many of the
            training rows are synthetic.
    """

    fingerprint: str
    label: str
    mix: Mix
    content: str
    config: TrainConfig
    model: Model
    precision: str
    repeat: int
    scored: Mapping[Split, str]
    reads: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Plain] = field(repr=False)

    @property
    def name(self) -> str:
        """The run's file in the store."""
        return run_file(self.label, self.fingerprint)

    @property
    def model_folder(self) -> str:
        """The folder of its classifier in the store, if that was to be kept."""
        return f"models/{self.label}-{self.fingerprint[:SHORT]}"


def run_file(label: str, fingerprint: str) -> str:
    """Return the name of a run's file in the store."""
    return f"runs/{label}-{fingerprint[:SHORT]}.json"
