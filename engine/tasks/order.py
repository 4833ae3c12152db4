"""The one order of a replicate's real rows, from which real rows and shots are taken."""

from collections.abc import Sequence

from engine.schema import Draws


def real_order(labels: Sequence[str], texts: Sequence[str], replicate: int) -> list[int]:
    """Return the places of the train rows in a seeded, label-balanced order.

    Each label's rows are ordered by a hash of their text, so that rows added to the file move no
    other row; then labels take turns. When a label has no rows left, the others go on.

    Args:
        labels: Each row's label, shape (n,).
        texts: Each row's text, shape (n,).
        replicate: Number of the draw, from 0.

    Returns:
        A permutation of 0 .. n - 1; its first N are the N real rows, whatever N is.
    """
    by_label: dict[str, list[tuple[int, int]]] = {label: [] for label in sorted(set(labels))}
    for place, (label, text) in enumerate(zip(labels, texts, strict=True)):
        by_label[label].append((Draws("real", str(replicate), label, text).seed(), place))
    ranked = [
        (rank, label, place)
        for label, rows in by_label.items()
        for rank, (_, place) in enumerate(sorted(rows))
    ]
    return [place for _, _, place in sorted(ranked)]
