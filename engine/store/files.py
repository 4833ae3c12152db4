"""Where a root's files lie: a folder, or an object store; each creates a file whole or not at all.

Commit = create if absent (engine/README.md, "Durability"). In a folder the bytes go to a temporary
file beside it, which is then hard-linked to its final name; in an object store they are put on the
condition that nothing has that name (``object_files.py``). The first writer wins.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

_TEMPORARY = ".tmp-"


class Entry(NamedTuple):
    """A file, or a folder where there are such.

    Attributes:
        name: Relative to the root.
        size: Bytes; 0 for a folder.
        modified: Seconds since 1970 at which it was last written.
        is_file: Whether it is a file.
    """

    name: str
    size: int
    modified: float
    is_file: bool


class Files(Protocol):
    """Files by their names, which are relative and have ``/`` between their parts."""

    def create(self, name: str, data: bytes) -> bool:
        """Create a file, whole and durable; return False if there is one of that name."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Write a file, whole, in place of what may be there."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            FileNotFoundError: There is none.
        """
        ...

    def footer(self, name: str) -> Any:  # noqa: ANN401 - what pyarrow reads from
        """Return what a Parquet file's metadata can be read from, as little of it as need be.

        Raises:
            FileNotFoundError: There is none.
        """
        ...

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of the files and folders that lie in a folder, in any order."""
        ...

    def entries(self, name: str) -> Iterator[Entry]:
        """Yield a file, or a folder and all that is below it, in any order; nothing, if not there.

        Where there are no folders but in names, files alone are yielded.
        """
        ...

    def move(self, name: str, to: str) -> None:
        """Give a file another name.

        Raises:
            FileNotFoundError: There is none.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file, or a folder and all that is below it, if it is there."""
        ...

    def scratch(self, name: str) -> tuple[str, Any]:
        """Make a folder, and return it as Ray Train takes it: a path, and pyarrow's file system."""
        ...


class FolderFiles:
    """Files of a folder, on a file system with hard links."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def create(self, name: str, data: bytes) -> bool:
        """See ``Files``."""
        final = self._root / name
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

    def replace(self, name: str, data: bytes) -> None:
        """See ``Files``."""
        final = self._root / name
        temporary = final.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, data)
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)  # of a disk that was full

    def read(self, name: str) -> bytes:
        """See ``Files``."""
        return (self._root / name).read_bytes()

    def footer(self, name: str) -> str:
        """See ``Files``."""
        return str(self._root / name)

    def has(self, name: str) -> bool:
        """See ``Files``."""
        return (self._root / name).is_file()

    def names(self, folder: str) -> list[str]:
        """See ``Files``."""
        with contextlib.suppress(FileNotFoundError):
            return os.listdir(self._root / folder)  # noqa: PTH208 - ten times as fast
        return []

    def entries(self, name: str) -> Iterator[Entry]:
        """See ``Files``."""
        top = self._root / name
        for path in (top, *sorted(top.rglob("*"))):
            with contextlib.suppress(FileNotFoundError):  # another process may have removed it
                stat, is_file = path.stat(), path.is_file()
                relative = path.relative_to(self._root).as_posix()
                yield Entry(relative, stat.st_size if is_file else 0, stat.st_mtime, is_file)

    def move(self, name: str, to: str) -> None:
        """See ``Files``."""
        (self._root / name).rename(self._root / to)

    def remove(self, name: str) -> None:
        """See ``Files``."""
        path = self._root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def scratch(self, name: str) -> tuple[str, None]:
        """See ``Files``."""
        (self._root / name).mkdir(parents=True)
        return str(self._root / name), None


def is_temporary(name: str) -> bool:
    """Say whether a file is one that a writer had not finished."""
    return name.rpartition("/")[2].startswith(_TEMPORARY)


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
