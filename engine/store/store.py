"""The root: files that appear whole or not at all, and are never replaced.

The names are relative to it, with ``/``; ``engine/store/files.py`` says how a commit is made.
"""

import contextlib
import errno
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from engine.errors import DamagedError, RootError, UnwritableError
from engine.fingerprint import Plain
from engine.store.files import Entry, Files, FolderFiles, is_temporary
from engine.store.kinds import (
    ASIDE,
    PROBE,
    STALE,
    check_columns,
    check_notes,
    check_parts,
    kind_of,
)
from engine.store.root import DEFAULT
from engine.store.seal import (
    Sealed,
    check_seal,
    open_document,
    open_notes,
    open_table,
    seal_document,
)
from engine.store.segments import Segment, by_slot

_SCRATCH = ".train-"
_LITTLE = 64 * 1024  # bytes; what has less left is as good as full
# what a disk can come to while it is written to, and the remedy
_NO_MORE = {
    errno.ENOSPC: "is full: make space there (`textmill clean` shows what no study refers to), and "
    "run the same command to go on",
    errno.EDQUOT: "is full, as far as your quota goes: make space there, and run the same command "
    "to go on",
    errno.EROFS: "is read-only: have it mounted for writing, or give another one with --root or "
    "TEXTMILL_ROOT",
}


@dataclass(frozen=True)
class Store:
    """What every stage reads from and commits to.

    Attributes:
        root: An absolute folder, or the URL of a prefix of an object store.
    """

    DEFAULT_ROOT: ClassVar[str] = DEFAULT

    root: str

    @classmethod
    def open(cls, root: str) -> "Store":
        """Return the store at ``root`` without touching it.

        Raises:
            RootError: ``root`` names something that is not a folder, or a kind of store that is
                not known.
        """
        if not root.strip():
            raise RootError("The root is empty; name a folder or a URL: --root or TEXTMILL_ROOT.")
        if is_url(root):
            if not root.partition("://")[2].strip("/"):
                raise RootError(f"The root {root!r} names no bucket: give s3://bucket/prefix.")
            store = cls(root.rstrip("/"))
            _ = store._files
            return store
        path = Path(root.removeprefix("file://")).expanduser().absolute()
        nearest = next(ancestor for ancestor in (path, *path.parents) if ancestor.exists())
        if not nearest.is_dir():
            raise RootError(
                f"The root cannot be {path}: {nearest} is a file. Name a folder: --root."
            )
        return cls(str(path))

    @cached_property
    def _files(self) -> Files:
        if not is_url(self.root):
            return FolderFiles(self.root)
        from engine.store.object_files import ObjectFiles  # here: most roots are folders

        return ObjectFiles(self.root)

    def __getstate__(self) -> dict[str, str]:
        return {"root": self.root}  # a connection is made where it is used

    def probe(self) -> None:
        """Create the root if need be and commit a file there for a moment.

        Raises:
            RootError: It cannot be written, or would let two writers have the same name.
        """
        name = probe_name()
        try:
            self.commit(name, b"")
            try:
                is_safe = not self.commit(name, b"another")
            finally:
                self.remove(name)  # also from a disk that has room for a name, and for no byte
        except UnwritableError as error:
            raise RootError(str(error)) from error
        except OSError as error:
            raise RootError(
                f"The root {self.root} cannot be written ({error.strerror or error}). Give another "
                "one with --root or TEXTMILL_ROOT: a folder on a file system with hard links, or a "
                "prefix of an object store that you may write to."
            ) from error
        if not is_safe:
            raise RootError(
                f"The root {self.root} lets a second writer replace what a first one wrote: its "
                "store ignores the condition that nothing has the name. Give another one."
            )

    def commit(self, name: str, data: bytes) -> bool:
        """Create the file ``name`` with ``data``, whole; return False if it was there already.

        Raises:
            ValueError: The name is that of no kind of file.
            UnwritableError: The root takes no more; nothing is there under that name.
        """
        kind_of(name)  # a name of no kind is a bug
        with self._writing():
            return self._files.create(name, data)

    def publish(self, name: str, data: bytes) -> None:
        """Write or replace ``name``: for pages made from the store, never for data.

        Raises:
            ValueError: The name is that of no kind of file.
            UnwritableError: The root takes no more; what was there is there still.
        """
        kind_of(name)  # a name of no kind is a bug
        with self._writing():
            self._files.replace(name, data)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Say in words what a disk says that takes no more."""
        try:
            yield
        except OSError as error:
            if error.errno not in _NO_MORE:
                raise
            raise UnwritableError(
                f"The root {self.root} {_NO_MORE[error.errno]} ({error.strerror}). All files that "
                "are there are whole."
            ) from error

    def check_room(self) -> None:
        """Make sure that a few more files find room.

        Raises:
            UnwritableError: They do not.
        """
        name = probe_name()
        try:
            self.commit(name, bytes(_LITTLE))
        finally:
            self.remove(name)

    def location(self, name: str) -> str:
        """Return where a file lies, in words that its user can follow: a path or a URL."""
        return f"{self.root}/{name}"

    def has(self, name: str) -> bool:
        """Say whether the file ``name`` is there."""
        return self._files.has(name)

    def _read(self, name: str) -> bytes:
        try:
            return self._files.read(name)
        except FileNotFoundError as error:
            raise DamagedError(name, "it is missing") from error

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file's bytes, as 64 hex digits.

        Raises:
            DamagedError: It is missing.
        """
        return hashlib.sha256(self._read(name)).hexdigest()

    def names(self, folder: str) -> list[str]:
        """Return the names of the files and folders committed in ``folder``, sorted."""
        return sorted(name for name in self._files.names(folder) if not name.startswith("."))

    def segments(self, folder: str, slots: Iterable[str]) -> dict[str, list[Segment]]:
        """Return the segments that lie in a pool's or view's folder, by slot, in order."""
        return by_slot(self.names(f"{folder}/rows"), slots)

    def table(self, name: str) -> Sealed:
        """Read and check a sealed table.

        Raises:
            DamagedError: It is cut short or altered.
            FormatError: It is of a format that is not known here.
        """
        sealed = open_table(self._read(name), name)
        check_columns(name, sealed.table.column_names)
        return sealed

    def columns(self, name: str, columns: list[str]) -> pa.Table:
        """Read and check a sealed table, and return some of its columns."""
        return self.table(name).table.select(columns)

    def notes(self, name: str) -> tuple[dict[str, Any], str]:
        """Read a sealed table's notes and checksum from its footer.

        Raises:
            DamagedError: The footer cannot be read.
            FormatError: It is of a format that is not known here.
        """
        try:
            notes, sha256 = open_notes(self._files.footer(name), name)
        except FileNotFoundError as error:
            raise DamagedError(name, "it is missing") from error
        check_notes(name, notes)
        return notes, sha256

    def document(self, name: str) -> dict[str, Any]:
        """Read and check a sealed document.

        Raises:
            DamagedError: It is cut short or altered.
            FormatError: It is of a format that is not known here.
        """
        body = open_document(self._read(name), name)
        check_parts(name, body)
        return body

    def commit_document(self, name: str, body: dict[str, Plain]) -> bool:
        """Commit ``body`` as a sealed document; return False if ``name`` was there already."""
        return self.commit(name, seal_document(body))

    def commit_recipe(self, folder: str, recipe: dict[str, Any]) -> None:
        """Write the recipe of a pool or view, or check the one that is there.

        A recipe follows from the study, so a damaged one is simply written again.

        Raises:
            DamagedError: The folder belongs to something else.
        """
        name = f"{folder}/recipe.json"
        if self.commit_document(name, recipe):
            return
        try:
            before = self.document(name)
        except DamagedError:
            self.set_aside(name)
            self.commit_recipe(folder, recipe)
            return
        if before["fingerprint"] != recipe["fingerprint"]:
            raise DamagedError(name, "it belongs to another recipe")

    def verify(self, name: str) -> None:
        """Check every byte of a sealed file.

        Raises:
            DamagedError: It is cut short or altered.
        """
        data = self._read(name)
        if name.endswith(".parquet"):
            check_seal(data, name)
        else:
            open_document(data, name)

    def is_damaged(self, name: str) -> bool:
        """Say whether a sealed file is cut short or altered."""
        try:
            self.verify(name)
        except DamagedError:
            return True
        return False

    def set_aside(self, name: str) -> bool:
        """Move a damaged file out of the way; return False if it was sound after all.

        Another process may have mended it since it was read, so what was moved is looked at again,
        and put back if it is whole.
        """
        folder, _, basename = name.rpartition("/")
        aside = f"{folder}/{ASIDE}{uuid.uuid4().hex[:8]}-{basename}".removeprefix("/")
        try:
            with self._writing():
                self._files.move(name, aside)
        except FileNotFoundError:
            return True
        if self.is_damaged(aside):
            return True
        self.commit(name, self._read(aside))
        self.remove(aside)
        return False

    def retire(self, name: str) -> None:
        """Move a sound file out of the way that was made from something no longer there."""
        folder, _, basename = name.rpartition("/")
        with contextlib.suppress(FileNotFoundError), self._writing():
            self._files.move(
                name, f"{folder}/{STALE}{uuid.uuid4().hex[:8]}-{basename}".removeprefix("/")
            )

    def entries(self, name: str) -> Iterator[Entry]:
        """Yield a file or a folder and all below it, also what is temporary or set aside."""
        return self._files.entries(name)

    def remove(self, name: str) -> None:
        """Remove a file or a folder and all below it."""
        with self._writing():
            self._files.remove(name)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[tuple[str, Any]]:
        """Lend Ray Train a folder that every node sees; textmill keeps nothing there.

        Yields:
            Its path, and pyarrow's file system; None for that of the machine.
        """
        name = f"{_SCRATCH}{uuid.uuid4().hex[:8]}"
        try:
            with self._writing():
                lent = self._files.scratch(name)
            yield lent
        finally:
            # `textmill clean` sweeps what is left
            with contextlib.suppress(OSError, UnwritableError):
                self.remove(name)


def is_url(root: str) -> bool:
    """Say whether a root is an object store's, not a folder's."""
    return "://" in root and not root.startswith("file://")


def probe_name() -> str:
    """Return a name for a file that is there for a moment only, to see whether it can be."""
    return f"{PROBE}{uuid.uuid4().hex}"


def is_leftover(name: str) -> bool:
    """Say whether a file is what a killed writer left behind, or was set aside as damaged."""
    basename = name.rpartition("/")[2]
    return is_temporary(basename) or basename.startswith((ASIDE, STALE, PROBE))


def is_scratch(name: str) -> bool:
    """Say whether something lies in a folder that was lent, or is one."""
    return name.startswith(_SCRATCH)
