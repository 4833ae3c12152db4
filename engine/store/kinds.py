"""The commit points: every kind of file that textmill ever creates under a root, by its name.

A process can be killed before or after any of them, and nowhere else does anything change: the
suite of faults (``tests/faults``) has a case for each. A name of no kind is a bug.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any

from engine.errors import DamagedError, FormatError
from engine.schema import EMBEDDING_COLUMNS, GOLD, POOL, VIEW


class CommitPoint(StrEnum):
    """A kind of file. Those up to ``DIAGNOSIS`` are created once; the others can be replaced."""

    GOLD = "gold rows"
    RECORDS = "recorded rows"
    POOL_RECIPE = "a pool's recipe"
    POOL_ROWS = "a pool's segment"
    TOPICS = "a list of topics"
    VIEW_RECIPE = "a view's recipe"
    VIEW_ROWS = "a view's segment"
    EMBEDDINGS = "embeddings"
    MODEL = "a classifier's file"
    RUN = "a run"
    DIAGNOSIS = "a diagnosis"
    REFERENCES = "what a study refers to"
    SITTING = "a sitting of a search"
    SEARCH_PAGE = "what a search shows"
    PAGE = "what a study shows"
    ASIDE = "a damaged file that is set aside"
    STALE = "a file that is retired"
    PROBE = "a file that shows that the root can be written"


ASIDE, STALE, PROBE = ".damaged-", ".stale-", ".probe-"  # what a file's own name begins with


_OWN = r"[^/]+"  # a part of a name


_NAMES = {
    CommitPoint.ASIDE: rf"(.+/)?{re.escape(ASIDE)}{_OWN}",
    CommitPoint.STALE: rf"(.+/)?{re.escape(STALE)}{_OWN}",
    CommitPoint.PROBE: rf"{re.escape(PROBE)}{_OWN}",
    CommitPoint.GOLD: rf"gold/{_OWN}\.parquet",
    CommitPoint.RECORDS: rf"records/{_OWN}\.parquet",
    CommitPoint.POOL_RECIPE: rf"pools/{_OWN}/recipe\.json",
    CommitPoint.POOL_ROWS: rf"pools/{_OWN}/rows/{_OWN}\.parquet",
    CommitPoint.TOPICS: rf"topics/{_OWN}\.json",
    CommitPoint.VIEW_RECIPE: rf"views/{_OWN}/recipe\.json",
    CommitPoint.VIEW_ROWS: rf"views/{_OWN}/rows/{_OWN}\.parquet",
    CommitPoint.EMBEDDINGS: rf"embeddings/{_OWN}/{_OWN}\.parquet",
    CommitPoint.MODEL: rf"models/{_OWN}/{_OWN}",
    CommitPoint.RUN: rf"runs/{_OWN}\.json",
    CommitPoint.DIAGNOSIS: rf"diagnoses/{_OWN}\.json",
    CommitPoint.REFERENCES: rf"studies/{_OWN}/references\.json",
    CommitPoint.SITTING: rf"studies/{_OWN}/search/sittings/{_OWN}\.json",
    CommitPoint.SEARCH_PAGE: rf"studies/{_OWN}/search/.+",
    CommitPoint.PAGE: r"studies/.+",
}  # the first that fits


def commit_point(name: str) -> CommitPoint:
    """Return what kind of file has a name, relative to its root.

    Raises:
        ValueError: None has.
    """
    for point, pattern in _NAMES.items():
        if re.fullmatch(pattern, name):
            return point
    raise ValueError(f"{name!r} is the name of no file that textmill writes; see CommitPoint")


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
