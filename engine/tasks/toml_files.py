"""TOML files that users write: reading, variables, and pydantic's complaints in our words."""

import contextlib
import errno
import json
import math
import os
import re
import tomllib
import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
)

from engine.errors import ConfigError
from engine.plugins import did_you_mean

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
Document = TypeVar("Document", bound="Written")
_named: ContextVar[list["NamedPath"] | None] = ContextVar("named", default=None)


class Written(BaseModel):
    """What a user writes in a TOML file: unknown keys are errors, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NamedPath(NamedTuple):
    """A file or folder that a TOML file names.

    Attributes:
        text: As it is written.
        path: What that means here, absolute.
    """

    text: str
    path: Path


@contextlib.contextmanager
def named_paths() -> Iterator[list[NamedPath]]:
    """Lend a list that fills with what the TOML files name that are read meanwhile."""
    paths: list[NamedPath] = []
    token = _named.set(paths)
    try:
        yield paths
    finally:
        _named.reset(token)


def expand(text: str) -> str:
    """Put the environment's values in place of ``${VARIABLE}``.

    Raises:
        ValueError: A variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise ValueError(f"the variable ${{{name}}} is not set; set it: export {name}=...")
        return os.environ[name]

    return _VARIABLE.sub(value, text)


def resolve(text: str, folder: Path) -> Path:
    """Return the path that a file in ``folder`` means by ``text``.

    A relative path is relative to the folder; but one that begins with a variable was written in
    a shell, and is relative to where the command runs.

    Raises:
        ValueError: A variable is not set, or nothing can be called so.
    """
    base = Path() if text.startswith("${") else folder
    try:
        written = Path(expand(text)).expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such user, whose home it could be in") from error
    resolved = Path(os.path.abspath(base / written))  # noqa: PTH100 - no ".."
    try:
        resolved.lstat()  # a ValueError of its own, where there is a NUL in it
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError("that is too long for the name of a file") from error
    listening = _named.get()
    if listening is not None:
        listening.append(NamedPath(text, resolved))
    return resolved


def _absolute(text: str, info: ValidationInfo) -> str:
    return str(resolve(text, Path((info.context or {}).get("folder", "."))))


def _model(text: str, info: ValidationInfo) -> str:
    is_path = text.startswith((".", "/", "~")) or "${" in text
    return _absolute(text, info) if is_path else text


def _read_lines(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - whatever was written
    if not isinstance(value, str):
        return value
    path = Path(_absolute(value, info))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"{path} cannot be read: {reason}") from error
    return [line for line in lines if line.strip()]


def _all_differ(lines: list[str]) -> list[str]:
    lines = [line.strip() for line in lines]
    if not all(lines):
        raise ValueError("one of them is empty")
    twice = [line for line, count in Counter(lines).items() if count > 1]
    if not lines:
        raise ValueError("the list is empty")
    if twice:
        raise ValueError(f"{twice[0]!r} is listed twice")
    return lines


FilePath = Annotated[str, AfterValidator(_absolute)]
ModelName = Annotated[str, AfterValidator(_model)]
Lines = Annotated[list[str], BeforeValidator(_read_lines), AfterValidator(_all_differ)]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: It is not there, cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error


def validate(
    kind: type[Document], document: Mapping[str, Any], source: str, folder: Path
) -> Document:
    """Make a ``kind`` of what a TOML file says.

    Args:
        kind: The model to make.
        document: The parsed file.
        source: What to call the file in messages.
        folder: What relative paths are relative to.

    Raises:
        ConfigError: Anything in it is unknown or wrong; every complaint is listed.
    """
    for place, value in _infinite(document, ""):  # also where a field takes any value
        raise ConfigError(f"{source}: {place} is {value}: it must be a finite number.")
    try:  # by way of JSON: its strict mode takes a list where a tuple is meant
        text = json.dumps(document, default=str)
        return kind.model_validate_json(text, context={"folder": str(folder)})
    except ValidationError as error:
        complaints = [_complaint(kind, problem) for problem in error.errors()]
        raise ConfigError("\n".join(f"{source}: {line}" for line in complaints)) from error


def _infinite(value: Any, place: str) -> Iterator[tuple[str, float]]:  # noqa: ANN401 - as written
    """Yield the numbers in a document that are not finite, and where they stand."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    parts = value.items() if isinstance(value, Mapping) else ()
    for name, inner in enumerate(value) if isinstance(value, list) else parts:
        yield from _infinite(inner, f"{place}.{name}" if place else str(name))


def _complaint(kind: type[BaseModel], problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    place = [str(part) for part in problem["loc"] if not _is_tag(part)]
    name = ".".join(place)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(kind, place[:-1])
        return f"unknown key {name!r}.{did_you_mean(place[-1], known)}"
    if problem["type"] == "missing":
        return f"{name!r} is missing."
    message = problem["msg"].removeprefix("Value error, ").removesuffix(".")
    value = problem["input"]
    shown = f"{name} is {value!r}" if not isinstance(value, dict) and name else name or "the file"
    return f"{shown}: {message[0].lower()}{message[1:]}."


def _is_tag(part: int | str) -> bool:
    """Say whether it is no key, but what pydantic calls one of a union's types."""
    return isinstance(part, str) and (part.startswith("as-") or "[" in part)


def _known_keys(kind: type[BaseModel], place: list[str]) -> list[str]:
    for part in place:
        field = kind.model_fields.get(part)
        inner = _models_in(field.annotation) if field else []
        if not inner:
            return list(kind.model_fields)
        kind = inner[0]
    return list(kind.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - any type at all
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation):
        return [model for part in typing.get_args(annotation) for model in _models_in(part)]
    return []
