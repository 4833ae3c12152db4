"""Put training sets together: a prefix of a view, and a prefix of the real rows' order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter

import pyarrow as pa

from engine.fingerprint import ContentHash, content_hash
from engine.mix.prior import turns
from engine.steps.mix import Example, Mix, Outline
from engine.steps.view import View
from engine.store.accepted import accepted_rows
from engine.store.store import Store
from engine.tasks.order import real_order


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
    def outline(self) -> Outline:
        """What is known of it without its rows."""
        synthetic = content_hash(self.examples[: self.synthetic])
        real = len(self.examples) - self.synthetic
        return Outline(self.content, self.synthetic, real, self.short, synthetic)


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
    synthetic = [example for example in _in_turn(store, mix) if example is not None]
    short = mix.config.quantity - len(synthetic)
    return TrainingSet([*synthetic, *real[: mix.config.real]], len(synthetic), short)


def outlines(store: Store, mixes: Sequence[Mix], real: Sequence[Example]) -> list[Outline]:
    """Work out training sets, of which none need fit into memory, in one reading of each view.

    Those that differ in amounts alone are prefixes of each other, and so are their hashes' inputs.

    Args:
        store: Where the views are.
        mixes: What to put together, all of them for one task and one replicate.
        real: The replicate's real rows in their order.

    Returns:
        An outline of each, in turn.

    Raises:
        DamagedError: A file of a view is damaged.
    """
    alike: dict[str, list[Mix]] = {}
    for mix in mixes:
        alike.setdefault(_source(mix), []).append(mix)
    outline_of: dict[tuple[str, int, int], Outline] = {}
    for source, group in alike.items():
        amounts = sorted({(mix.config.quantity, mix.config.real) for mix in group})
        for at, outline in zip(amounts, _outlined(store, group, amounts, real), strict=True):
            outline_of[source, *at] = outline
    return [outline_of[_source(mix), mix.config.quantity, mix.config.real] for mix in mixes]


def _source(mix: Mix) -> str:
    view = mix.view.fingerprint if mix.view else None
    return repr((view, list(mix.config.prior.items()), sorted(mix.pinned.items())))


def _outlined(
    store: Store,
    mixes: Sequence[Mix],
    amounts: Sequence[tuple[int, int]],
    real: Sequence[Example],
) -> Iterator[Outline]:
    """Yield an outline for each pair of amounts, which are sorted."""
    largest = max(mixes, key=lambda mix: mix.config.quantity)
    rows = _in_turn(store, largest)
    total, turn, count = ContentHash(), 0, 0
    for quantity, group in groupby(amounts, key=itemgetter(0)):
        for example in islice(rows, quantity - turn):
            if example is not None:
                total.add(example)
                count += 1
        turn = quantity
        whole, at = total.copy(), 0
        for _, wanted in group:
            for example in real[at:wanted]:
                whole.add(example)
            at = min(max(at, wanted), len(real))
            yield Outline(whole.hex, count, at, quantity - count, total.hex)


def ordered_rows(train: pa.Table, replicate: int) -> list[Example]:
    """Return the train split's rows in a replicate's order."""
    columns = [train[column].to_pylist() for column in ("label", "text", "text_pair")]
    rows = list(zip(*columns, strict=True))
    return [Example(*rows[place]) for place in real_order(train, replicate)]


def _in_turn(store: Store, mix: Mix) -> Iterator[Example | None]:
    """Yield whose turn it is, for each of the quantity's rows; None where the view lacks it."""
    if mix.view is None:
        return
    order = turns(mix.labels, mix.config.prior, mix.config.quantity)
    rows = {label: accepted(store, mix.view, label, mix.pinned.get(label)) for label in mix.labels}
    for label in order:
        yield next(rows[label], None)


def accepted(store: Store, view: View, label: str, judged: int | None = None) -> Iterator[Example]:
    """Yield a label's accepted rows by index, up to the first row without an outcome.

    Args:
        store: Where the view is.
        view: The view.
        label: The label.
        judged: How many judged rows of its slot to look at, whole segments; all if None.
    """
    segments = view.segments(store)[view.slot_of(label)]
    pinned = [segment for segment in segments if judged is None or segment.stop <= judged]
    for row in accepted_rows(store, view.folder, pinned, label):
        yield Example(label, row["text"], row["text_pair"])
