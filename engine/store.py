"""The root on disk: files that appear whole or not at all, and are never replaced.

Commit = create if absent (DESIGN, section 4): the bytes go to a temporary file in the same folder,
which is then hard-linked to its final name. The first writer wins; a second one discards its own.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.errors import DamagedError, RootError
from engine.fingerprint import Plain
from engine.seal import Sealed, check_seal, open_document, open_notes, open_table, seal_document

_TEMPORARY = ".tmp-"
_ASIDE = ".damaged"
_STALE = ".stale"


@dataclass(frozen=True)
class Store:
    """A folder that every stage reads from and commits to; names are relative to it, with ``/``."""

    root: Path

    @classmethod
    def open(cls, root: str) -> "Store":
        """Return the store at ``root`` without touching the disk.

        Raises:
            RootError: ``root`` is a URL, or names something that is not a folder.
        """
        if "://" in root:
            raise RootError(f"The root {root!r} is a URL; this version writes to a folder only.")
        if not root.strip():
            raise RootError("The root is empty; name a folder with --root or TEXTMILL_ROOT.")
        path = Path(root).expanduser().absolute()
        nearest = next(one for one in (path, *path.parents) if one.exists())
        if not nearest.is_dir():
            raise RootError(
                f"The root cannot be {path}: {nearest} is a file. Name a folder: --root."
            )
        return cls(path)

    def probe(self) -> None:
        """Create the root if need be and commit a file there for a moment.

        Raises:
            RootError: It cannot be written, or its file system has no hard links.
        """
        name = f".probe-{uuid.uuid4().hex}"
        try:
            self.commit(name, b"")
            (self.root / name).unlink()
        except OSError as error:
            raise RootError(
                f"The root {self.root} cannot be written ({error.strerror}). Give another folder "
                "with --root or TEXTMILL_ROOT, on a file system with hard links."
            ) from error

    def commit(self, name: str, data: bytes) -> bool:
        """Create the file ``name`` with ``data``, whole; return False if it was there already."""
        final = self.root / name
        temporary = final.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, data)
            os.link(temporary, final)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(final.parent)
        return True

    def publish(self, name: str, data: bytes) -> None:
        """Write or replace ``name``: for pages made from the store, never for data."""
        final = self.root / name
        temporary = final.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        final.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, data)
        temporary.replace(final)

    def has(self, name: str) -> bool:
        """Say whether the file ``name`` is there."""
        return (self.root / name).is_file()

    def _read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError as error:
            raise DamagedError(name, "it is missing") from error

    def names(self, folder: str) -> list[str]:
        """Return the names of the files and folders committed in ``folder``, sorted."""
        try:
            entries = [path.name for path in (self.root / folder).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(entry for entry in entries if not entry.startswith("."))

    def table(self, name: str) -> Sealed:
        """Read and check a sealed table.

        Raises:
            DamagedError: It is cut short or altered.
        """
        return open_table(self._read(name), name)

    def columns(self, name: str, columns: list[str]) -> pa.Table:
        """Read and check a sealed table, and return some of its columns."""
        return self.table(name).table.select(columns)

    def notes(self, name: str) -> tuple[dict[str, Any], str]:
        """Read a sealed table's notes and checksum from its footer.

        Raises:
            DamagedError: The footer cannot be read.
        """
        return open_notes(str(self.root / name), name)

    def document(self, name: str) -> dict[str, Any]:
        """Read and check a sealed document.

        Raises:
            DamagedError: It is cut short or altered.
        """
        return open_document(self._read(name), name)

    def commit_document(self, name: str, body: dict[str, Plain]) -> bool:
        """Commit ``body`` as a sealed document; return False if ``name`` was there already."""
        return self.commit(name, seal_document(body))

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
        source = self.root / name
        aside = source.with_name(f"{_ASIDE}-{uuid.uuid4().hex[:8]}-{source.name}")
        try:
            source.rename(aside)
        except FileNotFoundError:
            return True
        if self.is_damaged(str(aside.relative_to(self.root))):
            return True
        self.commit(name, aside.read_bytes())
        aside.unlink()
        return False

    def retire(self, name: str) -> None:
        """Move a sound file out of the way that was made from something no longer there."""
        source = self.root / name
        with contextlib.suppress(FileNotFoundError):
            source.rename(source.with_name(f"{_STALE}-{uuid.uuid4().hex[:8]}-{source.name}"))

    def files(self, folder: str) -> Iterator[Path]:
        """Yield every file below ``folder``, also temporary and damaged ones."""
        yield from (path for path in sorted((self.root / folder).rglob("*")) if path.is_file())


def is_leftover(path: Path) -> bool:
    """Say whether a file is what a killed writer left behind, or was set aside as damaged."""
    return path.name.startswith((_TEMPORARY, _ASIDE, _STALE, ".probe-"))


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
