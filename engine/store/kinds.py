"""The commit points: every kind of file that textmill ever creates under a root, by its name.

A process can be killed before or after any of them, and nowhere else does anything change: the
suite of faults (``tests/faults``) has a case for each. A name of no kind is a bug.
"""

import re
from enum import StrEnum


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
