"""A root's files in an object store that speaks S3, through fsspec: ``s3://bucket/prefix``.

What is committed is put on the condition that nothing has that name, which S3 calls a conditional
write (If-None-Match); the store itself then makes it whole or not at all, so that of an upload that
is killed nothing is seen. (From 100 MiB files go up in parts, and those of a killed upload take
room until the bucket's lifecycle rules sweep them.) Of S3-compatible servers some ignore the
condition: ``Store.probe`` tells.
"""

import contextlib
import errno
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pyarrow as pa

from engine.errors import RootError
from engine.store.files import Entry

_FOOTER_BYTES = 64 * 1024  # of a Parquet file's end: what notes and schema take, and more
_MODIFIED = ("LastModified", "last_modified", "updated", "mtime", "created")  # by file system
_TRIES = 8  # at a name that another writer is just putting
_TAKEN = {"PreconditionFailed", "412"}  # S3's words: libraries differ in how they tell
_BUSY = {"ConditionalRequestConflict", "OperationAborted", "SlowDown", "409", "503"}
_SCHEMES = ("s3", "s3a")  # other stores' libraries look first and write then, which is no commit


class ObjectFiles:
    """Files of an object store.

    Raises:
        RootError: Nothing here knows such addresses.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._root = _connected(url)

    def create(self, name: str, data: bytes) -> bool:
        """See ``Files``; a writer that is told to come back comes back."""
        for attempt in range(_TRIES):
            try:
                with _asking():
                    self._fs.pipe_file(self._at(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if _code(error) in _TAKEN:
                    return False
                if _code(error) not in _BUSY or attempt == _TRIES - 1:
                    raise
                time.sleep(0.05 * 2**attempt)
            else:
                return True
        raise AssertionError

    def replace(self, name: str, data: bytes) -> None:
        """See ``Files``."""
        with _asking():
            self._fs.pipe_file(self._at(name), data)

    def read(self, name: str) -> bytes:
        """See ``Files``."""
        with _asking():
            return bytes(self._fs.cat_file(self._at(name)))

    def footer(self, name: str) -> Any:  # noqa: ANN401 - see ``Files``
        """See ``Files``."""
        with _asking():
            end = bytes(self._fs.cat_file(self._at(name), start=-_FOOTER_BYTES))
        needed = int.from_bytes(end[-8:-4], "little") + 8  # Parquet: footer, its length, magic
        if needed > len(end) == _FOOTER_BYTES:
            end = self.read(name)
        return pa.BufferReader(end)

    def has(self, name: str) -> bool:
        """See ``Files``."""
        with contextlib.suppress(FileNotFoundError), _asking():
            return bool(self._fs.info(self._at(name))["type"] == "file")
        return False

    def names(self, folder: str) -> list[str]:
        """See ``Files``."""
        prefix = self._at(folder)
        try:
            with _asking():
                keys = self._fs.ls(prefix, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        names = (str(key).rstrip("/") for key in keys)
        return [name.rpartition("/")[2] for name in names if name != prefix]

    def entries(self, name: str) -> Iterator[Entry]:
        """See ``Files``."""
        with _asking():
            infos = self._fs.find(self._at(name), detail=True)
        for path, info in infos.items():
            relative = str(path).removeprefix(self._root).strip("/")
            yield Entry(relative, int(info.get("size") or 0), _modified(info), is_file=True)

    def move(self, name: str, to: str) -> None:
        """See ``Files``; a copy, and then the name goes if it is still what was copied.

        Between the last look and the removal another process's file could come to that name; it
        would be made again.
        """
        source = self._at(name)
        with _asking():
            before = self._fs.ukey(source)
            self._fs.cp_file(source, self._at(to))
            if self._fs.ukey(source) == before:
                self._fs.rm_file(source)

    def remove(self, name: str) -> None:
        """See ``Files``."""
        with contextlib.suppress(FileNotFoundError), _asking():
            self._fs.rm(self._at(name), recursive=True)

    def scratch(self, name: str) -> tuple[str, Any]:
        """See ``Files``."""
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return self._at(name), PyFileSystem(FSSpecHandler(self._fs))

    def _at(self, name: str) -> str:
        return self._root if name in ("", ".") else f"{self._root}/{name}"


@lru_cache(maxsize=8)
def _connected(url: str) -> tuple[Any, str]:
    import fsspec

    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        raise RootError(
            f"The root is {url!r}: a root is a folder, or a prefix of a store that speaks S3, such "
            "as s3://bucket/prefix. Others have no commit that two writers can rely on."
        )
    try:
        fs, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise RootError(
            f"The root is {url!r}, which needs a package more: pip install 'textmill[s3]'."
        ) from error
    except ValueError as error:
        raise RootError(f"The root is {url!r}: {error}") from error
    return fs, str(path).rstrip("/")


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Turn what the store's own library raises into OSError, which is what disks raise."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each library has errors of its own
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error


def _code(error: OSError) -> str | None:
    """Return what S3 calls an error; None if it did not answer."""
    response = getattr(error.__cause__, "response", None) or {}
    code = response.get("Error", {}).get("Code")
    return None if code is None else str(code)


def _modified(info: dict[str, Any]) -> float:
    when = next((info[key] for key in _MODIFIED if info.get(key)), 0.0)
    return float(when.timestamp() if hasattr(when, "timestamp") else when)
