"""Whether a file holds what its name says: its checksum, and what it counts and is called by.

A checksum tells that bytes are those that were written, not that they were the right ones: a
segment may lack rows, or hold those of another pool, and have a checksum that agrees.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping

import pyarrow as pa

from engine.errors import DamagedError
from engine.fingerprint import SHORT, content_hash, digest
from engine.schema import RowId
from engine.store.kinds import CommitPoint, commit_point
from engine.store.segments import named_range, slot_name
from engine.store.store import Store

CHECKSUMS = "checksums.json"  # beside a classifier's files, which others write and read


def damage(store: Store, name: str) -> DamagedError | None:
    """Return what is wrong with a file, by its name; None if nothing is.

    Raises:
        FormatError: It was written by another version of textmill.
    """
    check = _CHECKS.get(commit_point(name))
    try:
        if check:
            check(store, name)
    except DamagedError as found:
        return found
    return None


def _check_gold(store: Store, name: str) -> None:
    table = store.table(name).table
    columns = [table[column].to_pylist() for column in ("label", "text", "text_pair")]
    if content_hash(zip(*columns, strict=True))[:SHORT] != _short(name):
        raise DamagedError(name, "its rows are not those that it is called by")


def _check_pool_rows(store: Store, name: str) -> None:
    pool = _check_rows(name, store.table(name).table)
    if pool != _short(name.partition("/rows/")[0]):
        raise DamagedError(name, "its rows belong to another pool")


def _check_view_rows(store: Store, name: str) -> None:
    table, notes, _ = store.table(name)
    _check_rows(name, table)  # their pool is called otherwise than the view
    reasons = Counter(table["reason"].to_pylist())
    accepted = reasons.pop(None, 0)
    if notes["refused"] != reasons or sum(notes["labels"].values()) != accepted:
        raise DamagedError(name, "it counts other outcomes than its rows have")


def _check_rows(name: str, table: pa.Table) -> str:
    """Check that a segment has each row of its range once, in order; return their pool's hash."""
    said = named_range(name)
    if said is None:
        raise DamagedError(name, "its name tells no range of rows")
    own, indices = said
    if table["index"].to_pylist() != list(indices):
        raise DamagedError(
            name,
            f"its {table.num_rows} rows are not the {len(indices)} from {indices.start} to "
            f"{indices.stop - 1} that it is called by",
        )
    ids = table["id"].to_pylist()
    pool, slot = str(ids[0]).partition("/")[0], str(table["slot"][0].as_py())
    expected = [str(RowId(pool, slot, index)) for index in indices]
    if slot_name(slot) != own or ids != expected:
        raise DamagedError(name, "its rows belong to another slot")
    return pool


def _check_identity(store: Store, name: str) -> None:
    place = name.removesuffix("/recipe.json")
    if store.document(name)["fingerprint"][:SHORT] != _short(place):
        raise DamagedError(name, "it belongs to something else")


def _check_embeddings(store: Store, name: str) -> None:
    keys = store.table(name).table["key"].to_pylist()
    if f"{digest(sorted(key.hex() for key in keys))}.parquet" != name.rpartition("/")[2]:
        raise DamagedError(name, "its texts are not those that it is called by")


def _check_model(store: Store, name: str) -> None:
    folder, _, own = name.rpartition("/")
    files: Mapping[str, str] = {}
    if own == CHECKSUMS:
        store.document(name)
    else:
        with contextlib.suppress(DamagedError):  # which is told once, of the checksums themselves
            files = model_files(store, folder)
    if own in files and store.sha256(name) != files[own]:
        raise DamagedError(name, "its bytes do not agree with its checksum")


def model_files(store: Store, folder: str) -> Mapping[str, str]:
    """Return the files of a classifier that is kept in a folder, with their SHA-256.

    Raises:
        DamagedError: Their checksums are not there, or damaged.
    """
    return dict(store.document(f"{folder}/{CHECKSUMS}")["files"])


def _check_document(store: Store, name: str) -> None:
    store.document(name)


def _short(name: str) -> str:
    """Return the hash at the end of a name, before what tells the kind of file."""
    own = name.rpartition("/")[2]
    return own.removesuffix(".parquet").removesuffix(".json").rpartition("-")[2]


_CHECKS: Mapping[CommitPoint, Callable[[Store, str], None]] = {
    CommitPoint.GOLD: _check_gold,
    CommitPoint.RECORDS: _check_gold,
    CommitPoint.POOL_RECIPE: _check_identity,
    CommitPoint.POOL_ROWS: _check_pool_rows,
    CommitPoint.TOPICS: _check_identity,
    CommitPoint.VIEW_RECIPE: _check_identity,
    CommitPoint.VIEW_ROWS: _check_view_rows,
    CommitPoint.EMBEDDINGS: _check_embeddings,
    CommitPoint.MODEL: _check_model,
    CommitPoint.RUN: _check_identity,
    CommitPoint.DIAGNOSIS: _check_identity,
    CommitPoint.REFERENCES: _check_document,
    CommitPoint.SITTING: _check_document,
}
