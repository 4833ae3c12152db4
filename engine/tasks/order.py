"""The one order of a replicate's real rows, from which real rows and shots are taken."""

import pyarrow as pa

from engine.schema import Draws


def real_order(train: pa.Table, replicate: int) -> list[int]:
    """Return the places of the train rows in a seeded, label-balanced order.

    Each label's rows are ordered by a hash of their texts, so that rows added to the file move no
    other row; then labels take turns. When a label has no rows left, the others go on.

    Args:
        train: The train split, n rows with the columns of GOLD.
        replicate: Number of the draw, from 0.

    Returns:
        A permutation of 0 .. n - 1; its first N are the N real rows, whatever N is.
    """
    columns = [train[name].to_pylist() for name in ("label", "text", "text_pair")]
    by_label: dict[str, list[tuple[int, int]]] = {label: [] for label in sorted(set(columns[0]))}
    for place, (label, text, pair) in enumerate(zip(*columns, strict=True)):
        key = Draws("real", str(replicate), label, text, pair or "").seed()
        by_label[label].append((key, place))
    ranked = [
        (rank, label, place)
        for label, rows in by_label.items()
        for rank, (_, place) in enumerate(sorted(rows))
    ]
    return [place for _, _, place in sorted(ranked)]
