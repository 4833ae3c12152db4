"""Pools whose completions a test writes itself, without an engine and without Ray."""

import json
from itertools import islice

import pyarrow as pa

from engine.curate.judging import curate_slot
from engine.store.schema import POOL
from engine.store.seal import seal_table


def commit_rows(store, pool, slot, rows, *, start=0):
    """Commit a slot's rows, as many whole segments as they fill.

    Args:
        store: The root.
        pool: The pool.
        slot: The slot.
        rows: All of the slot's completions from its first row on, or pairs of a completion (None
            for a row that was not answered) and what was drawn for its prompt.
        start: The row to begin with, the first of a segment.
    """
    rows = [row if isinstance(row, tuple) else (row, {}) for row in rows]
    for segment in pool.grid(slot, len(rows)):
        if start <= segment.start and segment.stop <= len(rows):
            own = islice(enumerate(rows), segment.start, segment.stop)
            table = pa.Table.from_pylist([_row(pool, slot, *one) for one in own], schema=POOL)
            notes = {"rows": table.num_rows, "tokens": 1, "seconds": 1.0, "study": "x"}
            store.commit(f"{pool.folder}/{segment.name}", seal_table(table, notes))


def judge(store, view):
    """Judge all rows of a view's pool that it has not judged yet."""
    store.commit_recipe(view.folder, view.recipe())
    return [curate_slot(store, view, slot) for slot in view.pool.slots]


def rows_of(store, view):
    """Return a view's rows, by slot and in order."""
    return {
        slot: [
            row
            for segment in segments
            for row in store.table(f"{view.folder}/{segment.name}").table.to_pylist()
        ]
        for slot, segments in view.segments(store).items()
    }


def _row(pool, slot, index, row):
    completion, drawn = row
    return {
        **dict.fromkeys(POOL.names),
        "id": str(pool.row(slot, index)),
        "slot": slot,
        "index": index,
        "prompt": "",
        "completion": completion or "",
        "attributes": json.dumps(drawn),
        "error": "it was not answered" if completion is None else None,
    }
