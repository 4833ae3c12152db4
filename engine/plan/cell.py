"""One condition under one replicate."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.steps.mix import Mix
from engine.study.factors import Condition


@dataclass(frozen=True)
class Cell:
    """One condition under one replicate: one training set, and its runs.

    Attributes:
        condition: The condition.
        replicate: Number of the draw, from 0.
        mix: How to put its training set together.
        quotas: Accepted synthetic rows wanted of each label.
        real_seen: Real rows seen, in training or as shots in prompts: the larger of the two.
    """

    condition: Condition
    replicate: int
    mix: Mix
    quotas: Mapping[str, int]
    real_seen: int
