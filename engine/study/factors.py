"""Factors: names to fields, levels to settings, and the grid of conditions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import ConfigError
from engine.fingerprint import canonical
from engine.plugins import did_you_mean
from engine.store.schema import KNOWN_BY, RESULT_COLUMNS
from engine.study.config import CurateConfig, GenerateConfig, MixConfig, TrainConfig
from engine.study.search_config import Range
from engine.study.study import SECTIONS, Section, Study, StudyFile
from engine.tasks.task import builtin_tasks
from engine.tasks.toml_files import validate

Level = str | int | float | bool | None
Settings = Mapping[str, Any]  # "section.field" to value


class Choice(NamedTuple):
    """One level of a factor: what it is called, and what it sets."""

    level: Level
    settings: Settings


@dataclass(frozen=True)
class Condition:
    """One cell of the grid.

    Attributes:
        task: The task's name.
        levels: Each factor's level; None where the factor does not apply here.
        generate: How the synthetic rows are made; None if there are none.
        curate: Which of them are accepted; None if there are none.
        mix: What the training set is made of.
        train: How the classifier is trained.
    """

    task: str
    levels: Mapping[str, Level]
    generate: GenerateConfig | None
    curate: CurateConfig | None
    mix: MixConfig
    train: TrainConfig


def field_of(name: str, source: str) -> str:
    """Return the ``section.field`` that a factor's or flag's name stands for.

    Raises:
        ConfigError: There is no such field, or more than one.
    """
    section, _, field = name.partition(".")
    if field:
        if section in SECTIONS and field in SECTIONS[section].model_fields:
            return name
        if section in SECTIONS:
            known = [f"{section}.{known}" for known in SECTIONS[section].model_fields]
            raise ConfigError(f"{source}: unknown field {name!r}.{did_you_mean(name, known)}")
    matches = [
        f"{section}.{name}" for section, kind in SECTIONS.items() if name in kind.model_fields
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"{source}: {name!r} is ambiguous: write {' or '.join(matches)}.")
    if name == "task":
        raise ConfigError(f"{source}: several tasks are named with task = [...] at the top.")
    fields = {field for kind in SECTIONS.values() for field in kind.model_fields}
    raise ConfigError(f"{source}: unknown field or factor {name!r}.{did_you_mean(name, fields)}")


def choices(study: Study, source: str) -> dict[str, list[Choice]]:
    """Return every factor's levels.

    Raises:
        ConfigError: A name is unknown, reserved or taken, or a level is wrong.
    """
    choices_by_factor: dict[str, list[Choice]] = {}
    for name, levels in study.factors.items():
        if isinstance(levels, Range):
            raise ConfigError(
                f"{source}: the factor {name!r} is a range, which only `textmill search` can try; "
                "give a list of levels."
            )
        choices_by_factor[name] = level_choices(name, levels, source)
    check_apart({name: _fields_of(levels) for name, levels in choices_by_factor.items()}, source)
    return choices_by_factor


def check_apart(fields: Mapping[str, set[str]], source: str) -> None:
    """Make sure that no two factors set the same field.

    Args:
        fields: What each factor sets.
        source: What to call the file in messages.

    Raises:
        ConfigError: Two do.
    """
    setters: dict[str, str] = {}
    for name, factor_fields in fields.items():
        for field in sorted(factor_fields):
            if field in setters:
                raise ConfigError(
                    f"{source}: the factors {setters[field]!r} and {name!r} both set {field}."
                )
            setters[field] = name


def _fields_of(levels: list[Choice]) -> set[str]:
    return {field for choice in levels for field in choice.settings}


class Readers(NamedTuple):
    """Tell which fields of a section count: those that its plug-ins read.

    Attributes:
        generate: The fields that a recipe's engine and strategy read.
        train: The fields that a trainer reads.
    """

    generate: Callable[[GenerateConfig], set[str]]
    train: Callable[[TrainConfig], set[str]]


def conditions(file: StudyFile, reads: Readers) -> list[Condition]:
    """Return the conditions of a study: the product of tasks and factors, less what is left out.

    A cell without any rows (no synthetic, no real ones) is left out, and cells that come to the
    same condition, because a factor does not apply to them, are one.

    Args:
        file: The study.
        reads: What tells the fields that count.

    Raises:
        ConfigError: A factor or an exclusion is wrong.
    """
    study, source = file.study, file.source
    choices_by_factor = choices(study, source)
    named = {"task": [Choice(name, {}) for name in file.tasks], **choices_by_factor}
    check_exclusions(study, named, source)
    unique: dict[bytes, Condition] = {}
    for cell in _cells(named):
        if is_excluded(cell, study):
            continue
        condition = condition_of(file, cell, reads)
        if condition.mix.quantity or condition.mix.real:
            unique.setdefault(_key(condition, reads.train(condition.train)), condition)
    if not unique:
        raise ConfigError(f"{source}: no condition is left; every cell is excluded or has no rows.")
    return list(unique.values())


def level_choices(name: str, levels: list[Any], source: str) -> list[Choice]:
    """Return a factor's levels.

    Raises:
        ConfigError: There are none, its name is unknown, reserved or taken, or a level is wrong.
    """
    if not levels:
        raise ConfigError(f"{source}: the factor {name!r} has no levels.")
    if any(isinstance(level, dict) for level in levels) and not _are_values(name, levels):
        options = [_bundle(name, level, source) for level in levels]
    else:
        field = field_of(name, f"{source}, [factors]")
        options = [Choice(_readable(level), {field: level}) for level in levels]
    seen: set[Level] = set()
    for choice in options:
        if choice.level in seen:
            raise ConfigError(
                f"{source}: the factor {name!r} has the level {choice.level!r} twice."
            )
        seen.add(choice.level)
    return options


def _are_values(name: str, levels: list[Any]) -> bool:
    """Say whether levels that are tables are values of a field, such as those of ``topics``."""
    fields = {field for kind in SECTIONS.values() for field in kind.model_fields}
    is_field = name.rpartition(".")[2] in fields
    return is_field and not any(isinstance(level, dict) and "name" in level for level in levels)


def _readable(level: Any) -> Level:  # noqa: ANN401 - whatever stood in the file
    return level if isinstance(level, str | int | float | bool) else canonical(level).decode()


def _bundle(name: str, level: Any, source: str) -> Choice:  # noqa: ANN401 - as above
    here = f"{source}, [[factors.{name}]]"
    taken = {field for kind in SECTIONS.values() for field in kind.model_fields}
    results = (*KNOWN_BY, *RESULT_COLUMNS)
    if name in results or name in taken:
        raise ConfigError(
            f"{here}: {name!r} is reserved, as the name of a "
            f"{'result column' if name in results else 'field'}; choose another name."
        )
    if not isinstance(level, dict) or not isinstance(level.get("name"), str):
        raise ConfigError(f'{here}: every level needs a name = "..." of its own.')
    settings = {field_of(key, here): value for key, value in level.items() if key != "name"}
    if not settings:
        raise ConfigError(f"{here}: the level {level['name']!r} sets nothing.")
    return Choice(level["name"], settings)


def _cells(choices_by_factor: Mapping[str, list[Choice]]) -> Iterator[dict[str, Choice]]:
    for cell in product(*choices_by_factor.values()):
        yield dict(zip(choices_by_factor, cell, strict=True))


def check_exclusions(
    study: Study, choices_by_factor: Mapping[str, list[Choice]], source: str
) -> None:
    """Make sure that what is to be left out is there.

    Args:
        study: The study.
        choices_by_factor: The levels of each factor that something can be said of.
        source: What to call the file in messages.

    Raises:
        ConfigError: A factor or level is not.
    """
    for exclusion in study.exclude:
        for name, levels in exclusion.items():
            if name not in choices_by_factor:
                hint = did_you_mean(name, choices_by_factor)
                raise ConfigError(f"{source}, [[exclude]]: no factor {name!r}.{hint}")
            known = [choice.level for choice in choices_by_factor[name]]
            if name == "task":  # so that a study can be done for some of its tasks
                known += builtin_tasks()
            for level in levels if isinstance(levels, list) else [levels]:
                if level not in known:
                    hint = did_you_mean(str(level), map(str, known))
                    raise ConfigError(
                        f"{source}, [[exclude]]: {name} has no level {level!r}.{hint} Take it "
                        "out of the exclusion, or the exclusion out of the study."
                    )


def is_excluded(cell: Mapping[str, Choice], study: Study) -> bool:
    """Say whether a study leaves a cell out."""
    return any(
        all(
            cell[name].level in (levels if isinstance(levels, list) else [levels])
            for name, levels in exclusion.items()
        )
        for exclusion in study.exclude
    )


def condition_of(file: StudyFile, cell: Mapping[str, Choice], reads: Readers) -> Condition:
    """Return the condition that a cell stands for: a choice for each factor, and for the task.

    Raises:
        ConfigError: A level is wrong, or does not go with another.
    """
    study, folder, source = file.study, file.folder, file.source
    settings = {
        field: value for choice in cell.values() for field, value in choice.settings.items()
    }
    generate = _configured(study.generate, "generate", settings, source, folder)
    curate = _configured(study.curate, "curate", settings, source, folder)
    mix = _configured(study.mix, "mix", settings, source, folder)
    train = _configured(study.train, "train", settings, source, folder)
    # only fields that are read: a factor over another leaves the condition, and its runs, the same
    applies = {f"mix.{field}" for field in MixConfig.model_fields}
    applies |= {f"train.{field}" for field in reads.train(train)}
    if mix.quantity:
        applies |= {f"generate.{field}" for field in reads.generate(generate)}
        applies |= {f"curate.{field}" for field in CurateConfig.model_fields}
    else:  # the prior is that of synthetic rows
        applies -= {"mix.prior"}
        mix = mix.model_copy(update={"prior": {}})
    task = str(cell["task"].level)
    levels: dict[str, Level] = {"task": task} if len(file.tasks) > 1 else {}
    levels |= {
        name: choice.level if applies & set(choice.settings) else None
        for name, choice in cell.items()
        if name != "task"
    }
    if not mix.quantity:
        return Condition(task, levels, None, None, mix, train)
    return Condition(task, levels, generate, curate, mix, train)


def _configured(
    base: Any,  # noqa: ANN401 - as below
    section: Section,
    settings: Settings,
    source: str,
    folder: Path,
) -> Any:  # noqa: ANN401 - a config of any section
    overrides = {
        field.partition(".")[2]: value
        for field, value in settings.items()
        if field.startswith(f"{section}.")
    }
    if not overrides:
        return base
    whole = {**base.model_dump(exclude_unset=True), **overrides}
    return validate(SECTIONS[section], whole, f"{source}, [factors] {section}", folder)


def _key(condition: Condition, trains_with: set[str]) -> bytes:
    mix, train = condition.mix.model_dump(), condition.train.model_dump(include=trains_with)
    return canonical({"levels": dict(condition.levels), "mix": mix, "train": train})
