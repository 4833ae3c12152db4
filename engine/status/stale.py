"""Whether rows that were made from others still go on with what those are now.

They do, unless a damaged segment of the others' pool was made again and came out otherwise: then
the accepted rows behind it have other numbers, or other texts.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.prompts.strategy import Origin
from engine.status.survey import Survey
from engine.steps.pool import Pool
from engine.store.schema import RowId
from engine.store.segments import Segment
from engine.store.store import Store


def astray(now: Survey) -> list[str]:
    """Return the pool segments whose rows do not go on with the rows that they should.

    Raises:
        DamagedError: A file that it had to read is damaged.
    """
    return [name for view in now.plan.views for name in _astray_of(view.pool, now.seen)]


def _astray_of(pool: Pool, store: Store) -> Iterator[str]:
    if pool.parent is None:
        return
    find = pool.parent.finder(store)
    for segments in pool.segments(store).values():
        for segment in segments:
            if not _agrees(pool, segment, find, store):
                yield f"{pool.folder}/{segment.name}"


def _agrees(pool: Pool, segment: Segment, find: Callable[[RowId], Origin], store: Store) -> bool:
    table = store.columns(f"{pool.folder}/{segment.name}", ["index", "prompt", "attributes"])
    try:
        return all(
            _goes_on_with(row, find(pool.row(segment.slot, row["index"])))
            for row in table.to_pylist()
        )
    except IndexError:  # there are fewer accepted rows than there were
        return False


def _goes_on_with(row: Mapping[str, Any], origin: Origin) -> bool:
    """Say whether a row was made from that one: it keeps, or its prompt shows, each text."""
    drawn = json.loads(row["attributes"])
    kept = drawn.get("given", {})
    return drawn.get("from") == origin.id and all(
        kept[name] == text if name in kept else text in row["prompt"]
        for name, text in origin.texts.items()
    )
