"""Whether a file holds what its name says: its checksum, and what it counts and is called by.

A checksum tells that bytes are those that were written, not that they were the right ones: a
segment may lack rows, or hold those of another pool, and have a checksum that agrees.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa

from engine.errors import DamagedError
from engine.fingerprint import SHORT, content_hash, digest
from engine.store.schema import RowId
from engine.store.seal import Sealed
from engine.store.segments import named_range, slot_name

CHECKSUMS = "checksums.json"  # beside a classifier's files, which others write and read


class Readable(Protocol):
    """What a check reads: the files of a root, by name."""

    def table(self, name: str) -> Sealed:
        """Read and check a sealed table."""
        ...

    def document(self, name: str) -> dict[str, Any]:
        """Read and check a sealed document."""
        ...

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file's bytes."""
        ...


def check_gold(store: Readable, name: str) -> None:
    """Check that gold or recorded rows are those that the hash in their name stands for."""
    table = store.table(name).table
    columns = [table[column].to_pylist() for column in ("label", "text", "text_pair")]
    if content_hash(zip(*columns, strict=True))[:SHORT] != _short(name):
        raise DamagedError(name, "its rows are not those that it is called by")


def check_pool_rows(store: Readable, name: str) -> None:
    """Check that a segment of a pool holds its range of the rows of its own pool."""
    pool = _check_rows(name, store.table(name).table)
    if pool != _short(name.partition("/rows/")[0]):
        raise DamagedError(name, "its rows belong to another pool")


def check_view_rows(store: Readable, name: str) -> None:
    """Check that a segment of a view holds its range, and that its footer counts its rows."""
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
    named_slot, indices = said
    if table["index"].to_pylist() != list(indices):
        raise DamagedError(
            name,
            f"its {table.num_rows} rows are not the {len(indices)} from {indices.start} to "
            f"{indices.stop - 1} that it is called by",
        )
    ids = table["id"].to_pylist()
    pool, slot = str(ids[0]).partition("/")[0], str(table["slot"][0].as_py())
    expected = [str(RowId(pool, slot, index)) for index in indices]
    if slot_name(slot) != named_slot or ids != expected:
        raise DamagedError(name, "its rows belong to another slot")
    return pool


def check_identity(store: Readable, name: str) -> None:
    """Check that a recipe, list, run or diagnosis has the fingerprint that its name ends in."""
    place = name.removesuffix("/recipe.json")
    if store.document(name)["fingerprint"][:SHORT] != _short(place):
        raise DamagedError(name, "it belongs to something else")


def check_embeddings(store: Readable, name: str) -> None:
    """Check that a file of embeddings has the texts that it is called by."""
    keys = store.table(name).table["key"].to_pylist()
    if f"{digest(sorted(key.hex() for key in keys))}.parquet" != name.rpartition("/")[2]:
        raise DamagedError(name, "its texts are not those that it is called by")


def check_model(store: Readable, name: str) -> None:
    """Check a classifier's file by its checksum, or the file of those checksums itself."""
    folder, _, basename = name.rpartition("/")
    files: Mapping[str, str] = {}
    if basename == CHECKSUMS:
        store.document(name)
    else:
        with contextlib.suppress(DamagedError):  # which is told once, of the checksums themselves
            files = model_files(store, folder)
    if basename in files and store.sha256(name) != files[basename]:
        raise DamagedError(name, "its bytes do not agree with its checksum")


def model_files(store: Readable, folder: str) -> Mapping[str, str]:
    """Return the files of a classifier that is kept in a folder, with their SHA-256.

    Raises:
        DamagedError: Their checksums are not there, or damaged.
    """
    return dict(store.document(f"{folder}/{CHECKSUMS}")["files"])


def check_document(store: Readable, name: str) -> None:
    """Check that a document agrees with its checksum."""
    store.document(name)


def _short(name: str) -> str:
    """Return the hash at the end of a name, before what tells the kind of file."""
    basename = name.rpartition("/")[2]
    return basename.removesuffix(".parquet").removesuffix(".json").rpartition("-")[2]
