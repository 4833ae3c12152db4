"""What the rows of a training set took: of each pool, up to the last row that is trained on.

A pool may have more rows, for other quantities or other studies; what those took is not theirs, and
would make a cost depend on what else there is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from engine.plan.plan import Plan
from engine.status.spent import Spent, noted
from engine.steps.pool import Pool
from engine.steps.view import View
from engine.store.accepted import AcceptedRows
from engine.store.store import Store


class Extent(NamedTuple):
    """The first rows of a pool's slots.

    Attributes:
        pool: The pool.
        rows: How many of each slot.
    """

    pool: Pool
    rows: Mapping[str, int]


def extents(plan: Plan, view: View, quotas: Mapping[str, int], store: Store) -> list[Extent]:
    """Return which rows so many accepted ones take, of the view's pool and of those above it.

    Args:
        plan: What the view belongs to.
        view: The view.
        quotas: Accepted rows of each label; no more than there are.
        store: The root.

    Raises:
        DamagedError: A file of a view is damaged.
    """
    spans: list[Extent] = []
    above: View | None = view
    while above:
        rows = _rows(above, quotas, store)
        spans.append(Extent(above.pool, rows))
        if listed := plan.topic_pool(above.pool):
            whole = {
                slot: segments[-1].stop
                for slot, segments in listed.segments(store).items()
                if segments
            }
            spans.append(Extent(listed, whole))
        parent = above.pool.parent
        if parent is None:
            break
        above, quotas = plan.ancestors[parent.fingerprint], {}
        for slot, count in rows.items():
            label, number = parent.needs(slot, count)
            quotas = {**quotas, label: max(quotas.get(label, 0), number)}
    return spans


def _rows(view: View, quotas: Mapping[str, int], store: Store) -> dict[str, int]:
    numbered = AcceptedRows(store, view.folder, view.pool.slots)
    rows: dict[str, int] = {}
    for label, count in quotas.items():
        if count:
            last = int(numbered.row(label, count - 1)["id"].rpartition("/")[2]) + 1
            slot = view.slot_of(label)
            rows[slot] = max(rows.get(slot, 0), last)
    return rows


def cost(extent: Extent, store: Store) -> Spent:
    """Return what the segments took that hold an extent's rows.

    Raises:
        DamagedError: A footer cannot be read.
    """
    total = Spent()
    for slot, segments in extent.pool.segments(store).items():
        for segment in segments:
            if segment.start < extent.rows.get(slot, 0):
                notes, _ = store.notes(f"{extent.pool.folder}/{segment.name}")
                total = total.plus(noted(notes))
    return total
