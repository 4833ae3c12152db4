"""What a fine-tuned classifier is made of, besides rows."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.models import Model
from engine.study.config import TrainConfig


class ClassifierSpec(NamedTuple):
    """What a fine-tuned classifier is made of, besides rows.

    Attributes:
        model: What it starts from.
        labels: The task's labels: a label's number is its place.
        config: The training recipe.
        precision: "float32", "bfloat16" or "float16": of the forward pass; weights are float32.
        repeat: Number of the training, from 0.
    """

    model: Model
    labels: Sequence[str]
    config: TrainConfig
    precision: str
    repeat: int
