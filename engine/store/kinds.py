"""The kinds of file: one row for each that textmill ever creates under a root.

All that is to be known of a kind stands in its row: what its files are called, what they hold and
how that is checked, who reads them, whether ``textmill clean`` removes them, what is said when one
is lost, and which command commits them. A process can be killed before or after a file of any kind
is committed, and nowhere else does anything change: the suite of faults (``tests/faults``) has a
case for each row. A name of no kind is a bug.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from engine.errors import DamagedError, FormatError
from engine.store import checks, schema
from engine.store.checks import CHECKSUMS, Readable

ASIDE, STALE, PROBE = ".damaged-", ".stale-", ".probe-"  # what a file's own name begins with
_PART = r"[^/]+"  # a part of a name
_IDENTITY = ("fingerprint", "reads", "inputs")


@dataclass(frozen=True, kw_only=True)
class Row:
    r"""What is to be known of one kind of file.

    Two things cannot follow from it: which of a plan's steps have such files, and which of them a
    study refers to. ``engine/status/files.py`` and ``engine/make/references.py`` list the steps.

    What a file holds changes only together with a VERSION, and with it the file's name. One that
    has its checksum and holds something else was written by another textmill: it is refused, and
    never set aside, since whoever wrote it can read it.

    Attributes:
        title: What people call it.
        pattern: A regular expression for its names, relative to the root. Of several kinds that
            fit a name, the first row counts.
        columns: The columns of a sealed table; None if it is none, or one of any columns.
        kinds: What a sealed document says of its own ``kind``: one of these.
        parts: What such a document has besides its kind.
        notes: What a sealed table's footer has, at least.
        check: Raises ``DamagedError`` if a file does not hold what its name says; None for files
            that nothing is made from.
        readers: Which commands read it, and so look at it before they begin: those of a "plan"
            that refers to it or to the folder it lies in, "all", those of a plan that is to "keep"
            it, or "none".
        companion: What must lie beside it: a name inside the second folder of its own name.
        is_cleaned: Whether ``textmill clean`` removes it where no study refers to it: as a whole
            with what lies in the second part of its name.
        lost: What follows "is set aside" when a damaged one is told of.
        made_by: The command that commits it; the suite of faults kills that one.
        is_needed: Whether a study that has all of its runs and diagnoses wants it back, which the
            same suite checks.
    """

    title: str
    pattern: str
    columns: Collection[str] | None = None
    kinds: Collection[str] = ()
    parts: Collection[str] = ()
    notes: Collection[str] = ()
    check: Callable[[Readable, str], None] | None = None
    readers: Literal["plan", "all", "keep", "none"] = "none"
    companion: str | None = None
    is_cleaned: bool = False
    lost: str = " and made again"
    made_by: Literal["run", "report", "search"] = "run"
    is_needed: bool = True

    @property
    def stage(self) -> str:
        """The folder of the root that holds all of its files."""
        return self.pattern.partition("/")[0]


class Kind(Enum):
    """Every kind of file, in the order in which a study comes to them.

    Those that are cleaned are created once; others can be replaced.
    """

    ASIDE = Row(
        title="a damaged file that is set aside",
        pattern=rf"(.+/)?{re.escape(ASIDE)}{_PART}",
    )
    STALE = Row(
        title="a file that is retired",
        pattern=rf"(.+/)?{re.escape(STALE)}{_PART}",
    )
    PROBE = Row(
        title="a file that shows that the root can be written",
        pattern=rf"{re.escape(PROBE)}{_PART}",
    )
    GOLD = Row(
        title="gold rows",
        pattern=rf"gold/{_PART}\.parquet",
        columns=schema.GOLD.names,
        check=checks.check_gold,
        readers="plan",
        is_cleaned=True,
    )
    RECORDS = Row(
        title="recorded rows",
        pattern=rf"records/{_PART}\.parquet",
        columns=schema.GOLD.names,
        check=checks.check_gold,
        readers="plan",
        is_cleaned=True,
    )
    POOL_RECIPE = Row(
        title="a pool's recipe",
        pattern=rf"pools/{_PART}/recipe\.json",
        kinds=("pool", "topics", "baseline"),
        parts=_IDENTITY,
        check=checks.check_identity,
        readers="plan",
        is_cleaned=True,
    )
    REFERENCES = Row(
        title="what a study refers to",
        pattern=rf"studies/{_PART}/references\.json",
        kinds=("study",),
        parts=("kept",),
        check=checks.check_document,
        readers="plan",
        lost=" and made again, without what was made under other settings, which "
        "`textmill clean` now takes for nobody's",
    )
    POOL_ROWS = Row(
        title="a pool's segment",
        pattern=rf"pools/{_PART}/rows/{_PART}\.parquet",
        columns=schema.POOL.names,
        notes=("rows", "tokens", "seconds"),
        check=checks.check_pool_rows,
        readers="plan",
        companion="recipe.json",
        is_cleaned=True,
    )
    TOPICS = Row(
        title="a list of topics",
        pattern=rf"topics/{_PART}\.json",
        kinds=("topics",),
        parts=("fingerprint", "topics"),
        check=checks.check_identity,
        readers="plan",
        is_cleaned=True,
    )
    VIEW_RECIPE = Row(
        title="a view's recipe",
        pattern=rf"views/{_PART}/recipe\.json",
        kinds=("view",),
        parts=_IDENTITY,
        check=checks.check_identity,
        readers="plan",
        is_cleaned=True,
    )
    VIEW_ROWS = Row(
        title="a view's segment",
        pattern=rf"views/{_PART}/rows/{_PART}\.parquet",
        columns=schema.VIEW.names,
        notes=("chain", "rows", "labels", "refused"),
        check=checks.check_view_rows,
        readers="plan",
        companion="recipe.json",
        is_cleaned=True,
    )
    MODEL = Row(
        title="a classifier's file",
        pattern=rf"models/{_PART}/{_PART}",
        kinds=("model",),
        parts=("fingerprint", "files"),
        check=checks.check_model,
        readers="keep",
        companion=CHECKSUMS,
        is_cleaned=True,
    )
    RUN = Row(
        title="a run",
        pattern=rf"runs/{_PART}\.json",
        kinds=("run",),
        parts=(*_IDENTITY, "splits", "steps_done", "train_seconds"),
        check=checks.check_identity,
        readers="all",
        is_cleaned=True,
    )
    EMBEDDINGS = Row(
        title="embeddings",
        pattern=rf"embeddings/{_PART}/{_PART}\.parquet",
        columns=schema.EMBEDDING_COLUMNS,
        check=checks.check_embeddings,
        readers="all",
        is_cleaned=True,
        lost=", and made again for whoever needs it",
        is_needed=False,
    )
    DIAGNOSIS = Row(
        title="a diagnosis",
        pattern=rf"diagnoses/{_PART}\.json",
        kinds=("diagnosis",),
        parts=(*_IDENTITY, "synthetic", "real"),
        check=checks.check_identity,
        readers="all",
        is_cleaned=True,
    )
    SITTING = Row(
        title="a sitting of a search",
        pattern=rf"studies/{_PART}/search/sittings/{_PART}\.json",
        kinds=("sitting",),
        parts=("seconds",),
        check=checks.check_document,
        readers="plan",
        lost=", and how long that sitting took does not count any more",
        made_by="search",
        is_needed=False,
    )
    SEARCH_PAGE = Row(
        title="what a search shows", pattern=rf"studies/{_PART}/search/.+", made_by="search"
    )
    SHOWN = Row(
        title="what a study's pages show",
        pattern=rf"studies/{_PART}/shown\.json",
        kinds=("report",),
        parts=("shows", "files", "brief"),
        made_by="report",
    )
    PAGE = Row(title="what a study shows", pattern=r"studies/.+", made_by="report")


def kind_of(name: str) -> Kind:
    """Return what kind of file has a name, relative to its root.

    Raises:
        ValueError: None has.
    """
    for kind in Kind:
        if re.fullmatch(kind.value.pattern, name):
            return kind
    raise ValueError(f"{name!r} is the name of no file that textmill writes; see Kind")


def cleaned_stages() -> frozenset[str]:
    """Return the folders of a root in which ``textmill clean`` looks for what nobody refers to."""
    return frozenset(kind.value.stage for kind in Kind if kind.value.is_cleaned)


def damage(store: Readable, name: str) -> DamagedError | None:
    """Return what is wrong with a file, by its name; None if nothing is.

    Raises:
        FormatError: It was written by another version of textmill.
    """
    check = kind_of(name).value.check
    try:
        if check:
            check(store, name)
    except DamagedError as error:
        return error
    return None


def check_columns(name: str, columns: Iterable[str]) -> None:
    """Check the columns of a sealed table.

    Raises:
        FormatError: They are not those that such a file has.
    """
    expected = kind_of(name).value.columns
    if expected is None:
        return
    present = list(columns)
    lacking = [column for column in expected if column not in present]
    unknown = [column for column in present if column not in expected]
    if lacking or unknown:
        reasons = [f"it lacks the column {column!r}" for column in lacking[:1]]
        reasons += [f"it has the unknown column {column!r}" for column in unknown[:1]]
        raise FormatError(name, " and ".join(reasons))


def check_parts(name: str, body: Mapping[str, Any]) -> None:
    """Check the parts of a sealed document.

    Raises:
        FormatError: It is of another kind than such a file, or lacks a part.
    """
    row = kind_of(name).value
    if row.kinds and body.get("kind") not in row.kinds:
        raise FormatError(name, f"it is of the unknown kind {body.get('kind')!r}")
    if lacking := [part for part in row.parts if part not in body]:
        raise FormatError(name, f"it lacks {lacking[0]!r}")


def check_notes(name: str, notes: Mapping[str, Any]) -> None:
    """Check what a footer says, which is read without the checksum that would vouch for it.

    Raises:
        DamagedError: It lacks what is read of such a file's.
    """
    if not set(kind_of(name).value.notes) <= notes.keys():
        raise DamagedError(name, "its footer cannot be read")
