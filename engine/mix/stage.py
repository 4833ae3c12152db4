"""Put training sets together: a prefix of a view, and a prefix of the real rows' order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from engine.accepted import accepted_rows
from engine.curate.view import View
from engine.fingerprint import content_hash
from engine.mix.prior import turns
from engine.store import Store
from engine.study.config import MixConfig
from engine.tasks.order import real_order


class Example(NamedTuple):
    """One row to train or score on."""

    label: str
    text: str
    text_pair: str | None


@dataclass(frozen=True)
class TrainingSet:
    """What one condition trains on, under one replicate.

    Attributes:
        examples: The rows: synthetic ones in view order, then real ones in theirs.
        synthetic: How many of them are synthetic.
        short: How many synthetic rows its view lacks; 0 if it has all that were asked for.
    """

    examples: Sequence[Example]
    synthetic: int
    short: int

    @property
    def content(self) -> str:
        """SHA-256 of labels and texts, in order."""
        return content_hash(self.examples)

    @property
    def real(self) -> int:
        """How many of the rows are real."""
        return len(self.examples) - self.synthetic


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


def training_set(store: Store, mix: Mix, real: Sequence[Example]) -> TrainingSet:
    """Put a training set together.

    A label of which the view has too few rows gives what it has; other labels do not make up for
    it, so that the set stays a prefix of larger ones.

    Args:
        store: Where the view is.
        mix: What to put together.
        real: The replicate's real rows in their order, as ``ordered_rows`` gives them.

    Raises:
        DamagedError: A file of the view is damaged.
    """
    synthetic = list(_synthetic(store, mix))
    short = mix.config.quantity - len(synthetic)
    return TrainingSet([*synthetic, *real[: mix.config.real]], len(synthetic), short)


def ordered_rows(train: pa.Table, replicate: int) -> list[Example]:
    """Return the train split's rows in a replicate's order."""
    columns = [train[column].to_pylist() for column in ("label", "text", "text_pair")]
    rows = list(zip(*columns, strict=True))
    return [Example(*rows[place]) for place in real_order(train, replicate)]


def _synthetic(store: Store, mix: Mix) -> Iterator[Example]:
    if mix.view is None:
        return
    order = turns(mix.labels, mix.config.prior, mix.config.quantity)
    rows = {label: accepted(store, mix.view, label, mix.pinned.get(label)) for label in mix.labels}
    for label in order:
        example = next(rows[label], None)
        if example is not None:
            yield example


def accepted(store: Store, view: View, label: str, judged: int | None = None) -> Iterator[Example]:
    """Yield a label's accepted rows by index, up to the first row without an outcome.

    Args:
        store: Where the view is.
        view: The view.
        label: The label.
        judged: How many judged rows of its slot to look at, whole segments; all if None.
    """
    segments = view.segments(store)[view.slot_of(label)]
    pinned = [one for one in segments if judged is None or one.stop <= judged]
    for row in accepted_rows(store, view.folder, pinned, label):
        yield Example(label, row["text"], row["text_pair"])
