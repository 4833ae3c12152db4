"""The identity of a step: a hash of exactly what it reads (engine/README.md, "Identity")."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, cast

Plain: TypeAlias = "bool | int | float | str | Sequence[Plain] | Mapping[str, Plain] | None"
SHORT = 16  # hex digits in names on disk; the full hash stands inside the file


def canonical(value: Plain) -> bytes:
    """Return the one byte string that stands for ``value``.

    Raises:
        TypeError: The value, or something inside it, has no stable form: a set, an object, a
            number that is not finite, a key that is not a string.
    """
    if not _is_plain(value):  # most are, and to say where one is not takes longer
        _check(value, "value")
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return text.encode("ascii")


def digest(value: Plain) -> str:
    """Return the SHA-256 of the canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def fingerprint(
    stage: str, version: int, reads: Mapping[str, Plain], inputs: Mapping[str, Plain]
) -> str:
    """Return the identity of one step.

    Args:
        stage: What kind of step it is, such as ``"pool"``.
        version: The stage's hand-raised VERSION.
        reads: The fields that the step reads, by name.
        inputs: The fingerprints or content hashes of what it reads, by role.

    Returns:
        64 hex digits.
    """
    return digest({"stage": stage, "version": version, "reads": reads, "inputs": inputs})


def content_hash(rows: Iterable[Sequence[str | None]]) -> str:
    """Return the SHA-256 of rows of strings, in order; every row and field border counts."""
    total = ContentHash()
    for row in rows:
        total.add(row)
    return total.hex


class ContentHash:
    """The same of rows that come one by one; each prefix of them has its own."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()

    def add(self, row: Sequence[str | None]) -> None:
        """Add a row behind those before."""
        self._total.update(json.dumps(list(row), ensure_ascii=True).encode("ascii"))
        self._total.update(b"\n")

    def copy(self) -> "ContentHash":
        """Return the hash so far, to which other rows can be added."""
        other = ContentHash()
        other._total = self._total.copy()
        return other

    @property
    def hex(self) -> str:
        """The hash so far, as 64 hex digits."""
        return self._total.hexdigest()


def _is_plain(value: Plain) -> bool:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if kind is dict:
        inside = cast(dict[str, Plain], value)
        return all(type(key) is str and _is_plain(inner) for key, inner in inside.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, cast(list[Plain], value)))
    return False


def _check(value: Plain, place: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{place} is {value}, which has no stable form")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r}, which is not a string")
            _check(inner, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            _check(inner, f"{place}[{position}]")
    else:
        raise TypeError(f"{place} is a {type(value).__name__}, which has no stable form")
