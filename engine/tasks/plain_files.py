"""Rows of plain files, read without ``datasets``, which takes over a second to load.

What a file holds is what ``datasets`` makes of it, with all that it infers of columns. So only
files are read here of which that is beyond doubt, such as text that no reader takes for a number.
Of others, and of any that is wrong, nothing is said: ``datasets`` reads it, or says why not.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

Raw = dict[str, Any]

CHUNK_BYTES = 10 << 20  # of JSON, which datasets looks at together; of CSV it takes 10,000 rows
INT64 = range(-(1 << 63), 1 << 63)
_TIME = re.compile(r"\s*\d{4}-\d\d?-\d\d?[-+:.,TtZz\d\s]*")  # what JSON readers take for a time
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
_WORD = re.compile(r"[^\W\d_]")  # a letter, without which a text may be a number
_NO_WORDS = frozenset({"true", "false", "inf", "infinity", "nan", "e"})


class _DoubtError(ValueError):
    """Another reader might make something else of a file."""


def plain_rows(path: Path, suffix: str) -> list[Raw] | None:
    """Read a file's rows.

    Args:
        path: The file, also with ``.gz`` behind its suffix.
        suffix: What it is: ".jsonl", ".json", ".csv" or ".parquet".

    Returns:
        Its rows, one at least, all of the same fields; None if it is for ``datasets`` to read.
    """
    try:
        if suffix == ".parquet":
            return _parquet(path)
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        if text.startswith("\ufeff"):
            return None
        rows = _csv(text) if suffix == ".csv" else _json_lines(text)
    except (ValueError, OSError, EOFError, zlib.error, csv.Error, RecursionError):
        return None
    return rows or None


def _json_lines(text: str) -> list[Raw]:
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    decoder = json.JSONDecoder(object_pairs_hook=_fields, parse_constant=_refuse)
    rows: list[Raw] = [decoder.decode(line) for line in lines]
    fields = list(rows[0]) if rows and isinstance(rows[0], dict) else []
    if not fields or any(not isinstance(row, dict) or list(row) != fields for row in rows):
        raise _DoubtError
    for field in fields:
        _check_json_column([row[field] for row in rows], len(text) > CHUNK_BYTES // 4)
    if "\\u" in text:
        "".join(value for row in rows for value in row.values() if isinstance(value, str)).encode()
    return rows


def _fields(pairs: Sequence[tuple[str, Any]]) -> Raw:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _DoubtError
    return fields


def _refuse(constant: str) -> None:
    raise _DoubtError(constant)


def _check_json_column(values: Sequence[Any], is_long: bool) -> None:
    """Refuse a column of several types, and one that may not be what it seems."""
    kinds = {type(value) for value in values}
    if type(None) in kinds and is_long:  # a part of it may hold nothing else
        raise _DoubtError
    if len(kinds - {type(None)}) > 1 or not kinds <= {str, int, float, bool, type(None)}:
        raise _DoubtError
    if str in kinds and any(value is not None and _TIME.fullmatch(value) for value in values):
        raise _DoubtError
    if int in kinds and not all(value is None or value in INT64 for value in values):
        raise _DoubtError


def _csv(text: str) -> list[Raw]:
    if "\0" in text or "\r" in text.replace("\r\n", "\n"):
        raise _DoubtError
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    header, *records = [line for line in lines if line]
    if len(set(header)) < len(header) or not all(name.strip() for name in header):
        raise _DoubtError
    if any(len(record) != len(header) for record in records):
        raise _DoubtError
    for column in zip(*records, strict=True):
        _check_csv_column(column)
    return [dict(zip(header, record, strict=True)) for record in records]


def _check_csv_column(values: Sequence[str]) -> None:
    """Refuse a column unless all of it is text, or all of it whole numbers as they are written."""
    if all(_INTEGER.fullmatch(value) for value in values):
        return
    for value in values:
        word = value.strip().lstrip("+-").lower()
        if (
            "\n" in value
            or "\r" in value
            or (value and (not _WORD.search(word) or word in _NO_WORDS))
        ):
            raise _DoubtError
        if value and not any(_WORD.search(letter) for letter in word if letter not in "xe"):
            raise _DoubtError  # such as 1e5


def _parquet(path: Path) -> list[Raw] | None:
    import pyarrow.parquet as pq  # here, as readers of other files need none of it

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        metadata: Mapping[bytes, bytes] = schema.metadata or {}
        are_plain = all(
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_float64(kind)
            for kind in schema.types
        )
        if b"huggingface" in metadata or not are_plain or len(set(schema.names)) < len(schema):
            return None
        rows: list[Raw] = file.read().to_pylist()
    return rows or None
