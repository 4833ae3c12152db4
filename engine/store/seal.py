"""Files that carry their own checksum, so that a cut or altered one is never taken for good.

A Parquet file is sealed over all of its bytes: it is written with a row of zeros where its SHA-256
belongs in the footer, hashed, and the zeros are replaced. One file then holds data, notes and
checksum, needs no companion, and stays an ordinary Parquet file for every reader.

This is the first format, and says nothing of itself. A later one will say which it is under
``textmill.format`` in the footer, or ``format`` in a document, and is refused here, not taken for
damage.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import DamagedError, FormatError
from engine.fingerprint import Plain, canonical, digest

_SEAL = b"textmill.sha256="
_BLANK = b"0" * 64
_NOTES = b"textmill.notes"
_FORMAT = b"textmill.format"


class Sealed(NamedTuple):
    """A sealed table's rows, what was noted beside them, and the checksum of the whole file."""

    table: pa.Table
    notes: dict[str, Any]
    sha256: str


def seal_table(table: pa.Table, notes: Mapping[str, Plain]) -> bytes:
    """Return ``table`` as the bytes of a Parquet file with notes and checksum.

    Equal tables and notes give equal bytes under one version of pyarrow.
    """
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        if table.num_rows:
            writer.write_table(table)
        writer.add_key_value_metadata(
            {_NOTES.decode(): canonical(notes).decode(), "textmill.seal": (_SEAL + _BLANK).decode()}
        )
    blank = sink.getvalue()
    return _fill(blank, hashlib.sha256(blank).hexdigest().encode())


def open_table(data: bytes, name: str) -> Sealed:
    """Check and read the bytes of a sealed Parquet file; ``name`` is for messages.

    Raises:
        DamagedError: The bytes are cut short or altered.
        FormatError: They are of a format that is not known here.
    """
    sha256 = check_seal(data, name)
    # not through a Python object: Arrow's threads would ask for the interpreter while it ends,
    # which aborts the process (apache/arrow#50482)
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    _check_format(file.metadata.metadata, name)
    table = file.read(use_threads=False).replace_schema_metadata(None)
    return Sealed(table, _notes(file.metadata.metadata), sha256)


def open_notes(
    source: Any,  # noqa: ANN401 - a path or a file of pyarrow's
    name: str,
) -> tuple[dict[str, Any], str]:
    """Read notes and checksum from the footer alone, without checking the bytes before it.

    Raises:
        DamagedError: The footer cannot be read or carries no seal.
        FormatError: It is of a format that is not known here.
    """
    try:
        metadata = pq.read_metadata(source).metadata or {}
        _check_format(metadata, name)
        seal = metadata[b"textmill.seal"]
        return _notes(metadata), seal.removeprefix(_SEAL).decode()
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise DamagedError(name, "its footer cannot be read") from error


def check_seal(data: bytes, name: str) -> str:
    """Return the checksum of a sealed Parquet file's bytes.

    Raises:
        DamagedError: There is no checksum, or it does not agree with the bytes.
        FormatError: They are of a format that is not known here, and may have another checksum.
    """
    start = data.rfind(_SEAL) + len(_SEAL)
    if start < len(_SEAL) or len(data) < start + len(_BLANK):
        _check_bytes(data, name)
        raise DamagedError(name, "it is cut short")
    stated = data[start : start + len(_BLANK)]
    if hashlib.sha256(_fill(data, _BLANK)).hexdigest().encode() != stated:
        _check_bytes(data, name)
        raise DamagedError(name, "its bytes do not agree with its checksum")
    return stated.decode()


def seal_document(body: Mapping[str, Plain]) -> bytes:
    """Return ``body`` as one line of JSON with its checksum."""
    return canonical({"sha256": digest(body), "body": body}) + b"\n"


def open_document(data: bytes, name: str) -> dict[str, Any]:
    """Check and read what ``seal_document`` made.

    Raises:
        DamagedError: The text is cut short or altered.
        FormatError: It is of a format that is not known here.
    """
    try:
        whole = json.loads(data)
        if isinstance(whole, dict) and "format" in whole:
            raise FormatError(name, f"its format is {whole['format']!r}")
        body, stated = whole["body"], whole["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(name, "it is cut short") from error
    if not isinstance(body, dict) or digest(body) != stated:
        raise DamagedError(name, "its text does not agree with its checksum")
    return body


def _fill(data: bytes, checksum: bytes) -> bytes:
    start = data.rfind(_SEAL) + len(_SEAL)
    return data[:start] + checksum + data[start + len(checksum) :]


def _check_bytes(data: bytes, name: str) -> None:
    with contextlib.suppress(pa.ArrowException, OSError, ValueError):
        _check_format(pq.read_metadata(pa.BufferReader(data)).metadata, name)


def _check_format(metadata: Mapping[bytes, bytes] | None, name: str) -> None:
    if metadata and _FORMAT in metadata:
        raise FormatError(name, f"its format is {metadata[_FORMAT].decode('utf-8', 'replace')!r}")


def _notes(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    notes: dict[str, Any] = json.loads((metadata or {}).get(_NOTES, b"{}"))
    return notes
