"""How one training set is put together, and what is known of it without its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from engine.steps.view import View
from engine.study.config import MixConfig


class Example(NamedTuple):
    """One row to train or score on."""

    label: str
    text: str
    text_pair: str | None


class Outline(NamedTuple):
    """What is known of a training set without its rows.

    Attributes:
        content: SHA-256 of labels and texts, in order.
        synthetic: How many of its rows are synthetic.
        real: How many are real.
        short: How many synthetic rows its view lacks; 0 if it has all that were asked for.
        synthetic_content: SHA-256 of its synthetic rows alone.
    """

    content: str
    synthetic: int
    real: int
    short: int
    synthetic_content: str

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.synthetic + self.real


@dataclass(frozen=True)
class Mix:
    """How to put one training set together; a worker needs no more than this and the store.

    Attributes:
        labels: The task's labels, in order.
        config: Quantity, real rows, prior.
        replicate: Which order of the real rows.
        view: The view of the synthetic rows; None if there are none.
        train_file: The store's file with the train split.
        pinned: How many judged rows of each label there were when the set was planned; those that
            came later, for another study, are not looked at. All, for a label that is not named.
    """

    labels: tuple[str, ...]
    config: MixConfig
    replicate: int
    view: View | None
    train_file: str
    pinned: Mapping[str, int]
