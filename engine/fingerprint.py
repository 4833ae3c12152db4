"""The identity of a step: a hash of exactly what it reads (DESIGN, section 3)."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Plain: TypeAlias = "bool | int | float | str | Sequence[Plain] | Mapping[str, Plain] | None"

SHORT = 16  # hex digits in names on disk; the full hash stands inside the file


def canonical(value: Plain) -> bytes:
    """Return the one byte string that stands for ``value``.

    Raises:
        TypeError: The value, or something inside it, has no stable form: a set, an object, a
            number that is not finite, a key that is not a string.
    """
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
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(list(row), ensure_ascii=True).encode("ascii"))
        total.update(b"\n")
    return total.hexdigest()


def _check(value: Plain, where: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where} is {value}, which has no stable form")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}, which is not a string")
            _check(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            _check(inner, f"{where}[{position}]")
    else:
        raise TypeError(f"{where} is a {type(value).__name__}, which has no stable form")
