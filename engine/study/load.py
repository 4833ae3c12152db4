"""From a study file, and the ``--set`` flags of a command, to a Study."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from engine.plugins import did_you_mean
from engine.study.factors import field_of
from engine.study.study import SECTIONS, Study, StudyFile
from engine.tasks.task import SPLITS, Task, load_task, placed
from engine.tasks.toml_files import read_toml, validate

BESIDE = (
    "resources",
    "quota",
    "budget",
    "baseline",
    "diagnose",
    "annotation",
    "search",
    "splits",
)  # sections whose fields are no factors


def load_study(path: Path, overrides: Sequence[str] = ()) -> StudyFile:
    """Read a study file.

    Args:
        path: The file.
        overrides: ``"train.steps=50"`` and the like, in the order given; values are TOML, or else
            plain strings.

    Raises:
        ConfigError: The file, or an override, is wrong.
    """
    document = read_toml(path)
    _check_sections(document, path.name)
    for override in overrides:
        _override(document, override)
    study = validate(Study, document, path.name, path.absolute().parent)
    return StudyFile(study, _tasks(study, path), path)


def _tasks(study: Study, path: Path) -> dict[str, Task]:
    places: dict[str, Any] = {str(name): place for name, place in study.splits.items()}
    by_task = not set(places) <= set(SPLITS)
    tasks: dict[str, Task] = {}
    for name in study.task:
        task = load_task(name, path.absolute().parent)
        if task.name in tasks:
            raise ConfigError(f"{path.name}: task names {task.name!r} twice.")
        splits: Any = places.get(task.name, {}) if by_task else places
        tasks[task.name] = placed(task, splits)
    if by_task and (unknown := next((name for name in places if name not in tasks), None)):
        hint = did_you_mean(unknown, [*tasks, *SPLITS])
        raise ConfigError(f"{path.name}: splits has neither a split nor a task {unknown!r}.{hint}")
    if places and not by_task and len(tasks) > 1:
        example = next(iter(tasks))
        raise ConfigError(
            f"{path.name}: splits must say for which of the tasks: [splits.{example}], and so on."
        )
    return tasks


def _check_sections(document: dict[str, Any], source: str) -> None:
    for name in (*SECTIONS, "factors", *BESIDE):
        if not isinstance(document.get(name, {}), dict):
            raise ConfigError(f"{source}: {name} is {document[name]!r}; it is a section: [{name}].")


def _override(document: dict[str, Any], text: str) -> None:
    key, equals, written = text.partition("=")
    key, source = key.strip(), f"--set {text}"
    if not equals or not key:
        raise ConfigError(f"{source}: write --set key=value, such as --set train.steps=50.")
    value = _value(written.strip())
    head, _, rest = key.partition(".")
    if head == "factors" and rest:
        document.setdefault("factors", {})[rest.strip('"')] = value
    elif head in BESIDE and rest:
        *tables, field = rest.split(".")
        table = document.setdefault(head, {})
        for name in tables:  # such as splits.sst2.train
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{source}: {head}.{name} is {table!r}, which has no {field!r}.")
        table[field] = value
    elif not rest and head in Study.model_fields and head not in SECTIONS:
        document[head] = value
    else:
        _set_field(document, field_of(key, source), value, source)


def _set_field(document: dict[str, Any], field: str, value: Any, source: str) -> None:  # noqa: ANN401
    factors = document.get("factors", {})
    factor = next((name for name in factors if _stands_for(name, field, factors[name])), None)
    if factor:
        raise ConfigError(
            f"{source}: {field} is a factor of this study; set its levels: "
            f"--set 'factors.{factor}=[...]'."
        )
    section, _, name = field.partition(".")
    document.setdefault(section, {})[name] = value


def _stands_for(name: str, field: str, levels: Any) -> bool:  # noqa: ANN401 - as it was written
    if not isinstance(levels, list | dict) or any(isinstance(level, dict) for level in levels):
        return False
    return field_of(name, "[factors]") == field


def _value(text: str) -> Any:  # noqa: ANN401 - any TOML value
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
