"""What files of each kind hold, so that one of another format is told from one that is damaged.

What a file holds changes only together with a VERSION, and with it the file's name. One that has
its checksum and holds something else was written by another textmill: it is refused, and never set
aside, since whoever wrote it can read it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from engine.commits import CommitPoint, commit_point
from engine.errors import DamagedError, FormatError
from engine.schema import EMBEDDING_COLUMNS, GOLD, POOL, VIEW

_COLUMNS: Mapping[CommitPoint, Collection[str]] = {
    CommitPoint.GOLD: GOLD.names,
    CommitPoint.RECORDS: GOLD.names,
    CommitPoint.POOL_ROWS: POOL.names,
    CommitPoint.VIEW_ROWS: VIEW.names,
    CommitPoint.EMBEDDINGS: EMBEDDING_COLUMNS,
}
_IDENTITY = ("fingerprint", "reads", "inputs")
# of a document: what kinds there can be, and what each has besides its kind
_PARTS: Mapping[CommitPoint, tuple[Collection[str], Collection[str]]] = {
    CommitPoint.POOL_RECIPE: (("pool", "topics", "baseline"), _IDENTITY),
    CommitPoint.VIEW_RECIPE: (("view",), _IDENTITY),
    CommitPoint.TOPICS: (("topics",), ("fingerprint", "topics")),
    CommitPoint.RUN: (("run",), (*_IDENTITY, "splits", "steps_done", "train_seconds")),
    CommitPoint.DIAGNOSIS: (("diagnosis",), (*_IDENTITY, "synthetic", "real")),
    CommitPoint.MODEL: (("model",), ("fingerprint", "files")),
    CommitPoint.REFERENCES: (("study",), ("kept",)),
    CommitPoint.SITTING: (("sitting",), ("seconds",)),
}
_NOTES = {
    CommitPoint.POOL_ROWS: frozenset({"rows", "tokens", "seconds"}),
    CommitPoint.VIEW_ROWS: frozenset({"chain", "rows", "labels", "refused"}),
}


def check_columns(name: str, columns: Iterable[str]) -> None:
    """Check the columns of a sealed table.

    Raises:
        FormatError: They are not those that such a file has.
    """
    wanted = _COLUMNS.get(commit_point(name))
    if wanted is None:
        return
    found = list(columns)
    lacking = [one for one in wanted if one not in found]
    unknown = [one for one in found if one not in wanted]
    if lacking or unknown:
        told = [f"it lacks the column {one!r}" for one in lacking[:1]]
        told += [f"it has the unknown column {one!r}" for one in unknown[:1]]
        raise FormatError(name, " and ".join(told))


def check_parts(name: str, body: Mapping[str, Any]) -> None:
    """Check the parts of a sealed document.

    Raises:
        FormatError: It is of another kind than such a file, or lacks a part.
    """
    kinds, parts = _PARTS.get(commit_point(name), ((), ()))
    if kinds and body.get("kind") not in kinds:
        raise FormatError(name, f"it is of the unknown kind {body.get('kind')!r}")
    if lacking := [one for one in parts if one not in body]:
        raise FormatError(name, f"it lacks {lacking[0]!r}")


def check_notes(name: str, notes: Mapping[str, Any]) -> None:
    """Check what a footer says, which is read without the checksum that would vouch for it.

    Raises:
        DamagedError: It lacks what is read of such a file's.
    """
    if not _NOTES.get(commit_point(name), frozenset()) <= notes.keys():
        raise DamagedError(name, "its footer cannot be read")
