"""The one order of a replicate's real rows, from which real rows and shots are taken."""

from functools import lru_cache

import pyarrow as pa

from engine.store.schema import Draws

KEPT = 64  # orders that a process keeps: a plan asks for each again and again


def real_order(train: pa.Table, replicate: int) -> tuple[int, ...]:
    """Return the places of the train rows in a seeded, label-balanced order.

    Each label's rows are ordered by a hash of their texts, so that rows added to the file move no
    other row; then labels take turns. When a label has no rows left, the others go on.

    Args:
        train: The train split, n rows with the columns of GOLD.
        replicate: Number of the draw, from 0.

    Returns:
        A permutation of 0 .. n - 1; its first N are the N real rows, whatever N is.
    """
    return _order(_Same(train), replicate)


class _Same:
    """A table as the object that it is: comparing what it holds would cost as much as ordering."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __hash__(self) -> int:
        return id(self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.table is other.table


@lru_cache(maxsize=KEPT)
def _order(train: _Same, replicate: int) -> tuple[int, ...]:
    columns = [train.table[name].to_pylist() for name in ("label", "text", "text_pair")]
    by_label: dict[str, list[tuple[int, int]]] = {label: [] for label in sorted(set(columns[0]))}
    for place, (label, text, pair) in enumerate(zip(*columns, strict=True)):
        key = Draws("real", str(replicate), label, text, pair or "").seed()
        by_label[label].append((key, place))
    ranked = [
        (rank, label, place)
        for label, rows in by_label.items()
        for rank, (_, place) in enumerate(sorted(rows))
    ]
    return tuple(place for _, _, place in sorted(ranked))
