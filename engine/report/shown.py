"""Whether a study's pages show what it found: then they need not be made again.

``shown.json`` lies beside the pages and is written last. It says what they show, of which version,
the checksum of each, and what the terminal says of them, whose statistics take seconds as well.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from math import isfinite

import numpy as np
from pydantic import BaseModel

from engine.errors import TextmillError
from engine.findings.findings import Findings
from engine.fingerprint import Plain, digest
from engine.store.seal import seal_document
from engine.store.store import Store

REPORT_VERSION = 1  # raised by hand when the same findings would be shown otherwise
# what they are worked out with, and drawn: another version may round or draw otherwise
LIBRARIES = ("jinja2", "matplotlib", "numpy", "pyarrow", "scikit-learn", "scipy", "statsmodels")


class Pages:
    """Writes or replaces what a study's folder shows, and notes last of all what that is.

    Args:
        findings: What is shown.
        store: The root.
    """

    def __init__(self, findings: Findings, store: Store) -> None:
        self._findings, self._store = findings, store
        self._files: dict[str, str] = {}

    def publish(self, name: str, data: bytes) -> None:
        """Write a file of the study's folder."""
        self._store.publish(f"{self._findings.folder}/{name}", data)
        self._files[name] = hashlib.sha256(data).hexdigest()

    def note(self, brief: str) -> None:
        """Note that all is written.

        Args:
            brief: What the terminal says of it.
        """
        body: dict[str, Plain] = {
            "kind": "report",
            "shows": _shows(self._findings),
            "files": self._files,
            "brief": brief,
        }
        self._store.publish(_file(self._findings), seal_document(body))


def shown_brief(findings: Findings, store: Store) -> str | None:
    """Return what the terminal says of the pages that show these findings.

    Returns:
        None if those that are there show others, were made otherwise, or are altered.
    """
    name = _file(findings)
    if not store.has(name):
        return None
    try:
        body = store.document(name)
        if body["shows"] != _shows(findings):
            return None
        files: Mapping[str, str] = body["files"]
        for file, sha256 in files.items():
            if store.sha256(f"{findings.folder}/{file}") != sha256:
                return None
    except TextmillError:  # one of them is gone or damaged, or of another textmill
        return None
    return str(body["brief"])


def _file(findings: Findings) -> str:
    return f"{findings.folder}/shown.json"


def _shows(findings: Findings) -> str:
    """Return the hash of all that pages follow from."""
    libraries = {name: version(name) for name in LIBRARIES}
    return digest([REPORT_VERSION, libraries, _plain(findings)])


def _plain(value: object) -> Plain:
    """Return a value in a form that can be hashed; the order of a mapping counts: it is shown.

    Raises:
        TypeError: It has no such form.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        return [str(value.dtype), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json"))
    if is_dataclass(value):
        return [[field.name, _plain(getattr(value, field.name))] for field in fields(value)]
    if isinstance(value, Mapping):
        return [[str(key), _plain(inner)] for key, inner in value.items()]
    if isinstance(value, Sequence):
        return [_plain(inner) for inner in value]
    raise TypeError(f"a report cannot follow from a {type(value).__name__}")
