"""The reference of all fields, made of the configs' own docstrings: one row a field.

``python -m engine.study.reference`` writes it into the pages, between two comments; the rest of a
page is written by hand. A test keeps the pages equal to what this makes of the code.
"""

import inspect
import json
import os
import re
import types
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engine.study.config import (
    BaselineConfig,
    CurateConfig,
    DiagnoseConfig,
    GenerateConfig,
    MixConfig,
    Structured,
    TrainConfig,
    WrittenTopics,
)
from engine.study.resources import Annotation, Budget, Quota, Resources
from engine.study.search_config import Range, SearchConfig
from engine.study.study import Study
from engine.tasks.source import CutSource, FileSource, HubSource
from engine.tasks.task import Calls, Task, Wording
from engine.tasks.toml_files import FilePath, Lines, ModelName

ENGINE = Path(__file__).parent.parent


BEGIN, END = "<!-- fields -->", "<!-- /fields -->"


Config = type[BaseModel]


# for each page its sections, in order: a heading, and the config whose fields stand under it
PAGES: Mapping[Path, Mapping[str, Config]] = {
    ENGINE / "study" / "FIELDS.md": {
        "A study": Study,
        "[generate]": GenerateConfig,
        "generate.structured": Structured,
        "generate.topics": WrittenTopics,
        "[curate]": CurateConfig,
        "[mix]": MixConfig,
        "[train]": TrainConfig,
        "[baseline]": BaselineConfig,
        "[diagnose]": DiagnoseConfig,
        "A range in [factors]": Range,
        "[search]": SearchConfig,
    },
    ENGINE / "study" / "RESOURCES.md": {
        "[resources]": Resources,
        "[quota]": Quota,
        "[budget]": Budget,
        "[annotation]": Annotation,
    },
    ENGINE / "tasks" / "FIELDS.md": {
        "A task": Task,
        "[wording]": Wording,
        "[wording.calls]": Calls,
        "A file of rows": FileSource,
        "A hub dataset": HubSource,
        "A part of the train split": CutSource,
    },
}


# where each config's fields stand, and what its section is called in links from other tables
_PLACES = {
    config: (path, heading) for path, page in PAGES.items() for heading, config in page.items()
}


_CALLED: Mapping[Config, str] = {FileSource: "file of rows", HubSource: "hub dataset"}


# what a text or a list is, by what makes it one
_MADE = {
    get_args(FilePath)[1]: "path",
    get_args(ModelName)[1]: "folder or hub name",
    get_args(Lines)[1]: "list of texts, or a file of lines",
}


_WORDS = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}


_BOUNDS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}


_MANY = re.compile(r"^(whole number|number|text|path|list|table|any value)")


def texts(config: Config) -> dict[str, str]:
    """Return what a config's docstring says of each field, those of its bases among them."""
    texts_by_field: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        _, _, listed = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        for entry in re.split(r"\n(?=    \w)", "\n" + listed.partition("\n\n")[0]):
            name, colon, text = entry.strip().partition(":")
            if colon:
                texts_by_field[name] = " ".join(text.split())
    return {name: texts_by_field[name] for name in config.model_fields if name in texts_by_field}


def summary(config: Config) -> str:
    """Return what a config's docstring says of it as a whole."""
    whole, _, _ = inspect.cleandoc(config.__doc__ or "").partition("Attributes:\n")
    return "\n\n".join(" ".join(part.split()) for part in whole.strip().split("\n\n"))


def default(field: FieldInfo) -> str:
    """Return a field's default as a TOML file would say it."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value in ([], {}):
        return "empty"
    if isinstance(value, float):
        return f"`{value:g}`".replace("e-0", "e-")
    return f"`{json.dumps(value)}`"


def kind_of(field: FieldInfo, page: Path) -> str:
    """Return what values a field takes, in words, with links as ``page`` has them."""
    return _kind(field.annotation, field.metadata, page)


def _kind(annotation: Any, notes: Sequence[Any], page: Path) -> str:  # noqa: ANN401 - any type
    for note in notes:
        if isinstance(note, Hashable) and note in _MADE:
            return _MADE[note]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0], [*notes, *_flat(parts[1:])], page)
    if origin in (types.UnionType, Union):
        return _either([_kind(part, notes, page) for part in parts if part is not type(None)])
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in parts)
    if origin is list:
        return f"list of {_count(notes)}{_many(_kind(parts[0], [], page))}"
    if origin is dict:
        return f"table of {_many(_kind(parts[1], [], page))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _link(annotation, page)
    return f"{_WORDS.get(annotation, 'any value')} {' and '.join(_bounds(notes))}".strip()


def _either(kinds: Sequence[str]) -> str:
    covered = {f"whole {kind}" for kind in kinds}  # a whole number is a number
    return ", or ".join(kind for kind in dict.fromkeys(kinds) if kind not in covered)


def _many(kind: str) -> str:
    return _MANY.sub(r"\1s", kind)


def _flat(notes: Sequence[Any]) -> Iterator[Any]:
    for note in notes:
        yield from note.metadata if isinstance(note, FieldInfo) else [note]


def _count(notes: Sequence[Any]) -> str:
    least = next((note.min_length for note in notes if isinstance(note, MinLen)), 0)
    most = next((note.max_length for note in notes if isinstance(note, MaxLen)), None)
    return f"{least} " if most == least else ""


def _bounds(notes: Sequence[Any]) -> list[str]:
    return [
        f"{sign} {getattr(note, name):g}"
        for kind, (name, sign) in _BOUNDS.items()
        for note in notes
        if isinstance(note, kind)
    ]


def _link(config: Config, page: Path) -> str:
    path, heading = _PLACES[config]
    file = "" if path == page else os.path.relpath(path, page.parent)
    called = _CALLED.get(config) or re.sub(r"[\[\]]", "", heading)
    return f"[{called[0].lower()}{called[1:]}]({file}#{anchor(heading)})"


def anchor(heading: str) -> str:
    """Return what a link to a heading of a page says behind its ``#``."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def reference(page: Path) -> str:
    """Return the tables of a page, in Markdown."""
    sections = PAGES[page].items()
    return "\n\n".join(_section(heading, config, page) for heading, config in sections)


def _section(heading: str, config: Config, page: Path) -> str:
    meanings = texts(config)
    rows = [
        f"| `{name}` | {kind_of(field, page)} | {default(field)} "
        f"| {_escaped(meanings.get(name, ''))} |"
        for name, field in config.model_fields.items()
    ]
    shown = re.sub(r"(\[\S+\])", r"`\1`", heading)
    head = [f"## {shown}", "", _escaped(summary(config)), ""]
    table = ["| field | what it takes | default | what it is |", "|---|---|---|---|", *rows]
    return "\n".join([*head, *table])


def _escaped(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def with_reference(page: Path) -> str:
    """Return a page's text with the tables between the two comments.

    Raises:
        ValueError: The page lacks the comments.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{reference(page)}\n{END}{after}"


def main() -> None:
    """Write the tables into their pages."""
    for page in PAGES:
        page.write_text(with_reference(page), encoding="utf-8")


if __name__ == "__main__":
    main()
