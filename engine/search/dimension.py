"""One factor that trials differ in: levels to choose from, or a range."""

import math
import random
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import create_model

from engine.errors import ConfigError
from engine.fingerprint import canonical
from engine.plugins import did_you_mean
from engine.study.factors import Choice, Level, field_of, level_choices
from engine.study.search_config import Range
from engine.study.study import SECTIONS, StudyFile
from engine.tasks.toml_files import Written, validate

DIGITS = 3  # of a value on a continuous range: finer ones make no difference, and no reuse
STEP_DIGITS = 10  # of a step's multiples: without the noise of floats


@dataclass(frozen=True)
class Dimension:
    """One factor that trials differ in.

    Attributes:
        name: The factor's name.
        choices: Its levels; none if it has a range.
        range: Its range, if it has one; with a step, its high end is one that steps come to.
        field: The ``section.field`` that values of the range are set to.
        is_whole: Whether the range's values are whole numbers.
    """

    name: str
    choices: Sequence[Choice] = ()
    range: Range | None = None
    field: str = ""
    is_whole: bool = False

    @property
    def fields(self) -> set[str]:
        """What it sets."""
        return (
            {self.field} if self.range else {f for choice in self.choices for f in choice.settings}
        )

    def choice(self, level: Level) -> Choice:
        """Return what a level sets.

        Raises:
            KeyError: There is no such level.
        """
        if self.range:
            return Choice(level, {self.field: level})
        for choice in self.choices:
            if choice.level == level and isinstance(choice.level, bool) == isinstance(level, bool):
                return choice
        raise KeyError(level)

    def tidy(self, value: float) -> int | float:
        """Return a value of the range as it is tried: whole, at a step, or with few digits."""
        assert self.range
        low, high = self.range.low, self.range.high
        if value in (low, high):
            return low if value == low else high
        if self.is_whole:
            return round(value)
        if self.range.step is not None:
            return round(value, STEP_DIGITS)
        if value == 0:
            return 0.0
        digits = DIGITS - 1 - math.floor(math.log10(abs(value)))
        return min(max(round(value, digits), low), high)

    def written_level(self, value: Any, here: str) -> Level:  # noqa: ANN401 - whatever stood in the file
        """Return a level that somebody wrote down.

        Raises:
            ConfigError: It is none.
        """
        if self.range:
            low, high, step = self.range.low, self.range.high, self.range.step
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:
                raise ConfigError(
                    f"{here}: {self.name} is {value!r}, which is not within {low:g} and {high:g}."
                )
            steps = (value - low) / (step or (1 if self.is_whole else value - low or 1))
            if abs(steps - round(steps)) > 1e-9:
                raise ConfigError(f"{here}: {self.name} is {value!r}, which no step comes to.")
            return int(value) if self.is_whole else self.tidy(value)
        level = value if isinstance(value, str | int | float) else canonical(value).decode()
        try:
            return self.choice(level).level
        except KeyError:
            known = [str(choice.level) for choice in self.choices]
            hint = did_you_mean(str(level), known)
            raise ConfigError(f"{here}: {self.name} has no level {value!r}.{hint}") from None


def dimension(name: str, levels: Any, file: StudyFile) -> Dimension:  # noqa: ANN401 - as Study has it
    """Return a factor of a study as what can be searched.

    Raises:
        ConfigError: Its name, a level or its range is wrong.
    """
    if not isinstance(levels, Range):
        choices = level_choices(name, levels, file.source)
        for choice in choices:
            for field, value in choice.settings.items():
                _check_alone(field, value, file)
        return Dimension(name, choices)
    field = field_of(name, f"{file.source}, [factors]")
    kind = _number_of(field)
    if kind is None:
        raise ConfigError(
            f"{file.source}: the factor {name!r} is a range, but {field} is no number: give a list "
            "of levels."
        )
    if kind is int:
        bounds = _whole(levels, field, file.source)
    else:
        bounds = levels.model_copy(update={"low": float(levels.low), "high": float(levels.high)})
    if bounds.step is not None:
        steps = math.floor((bounds.high - bounds.low) / bounds.step + 1e-9)
        high = bounds.low + steps * bounds.step
        bounds = bounds.model_copy(
            update={"high": high if kind is int else round(high, STEP_DIGITS)}
        )
    factor = Dimension(name, (), bounds, field, kind is int)
    for end in (bounds.low, bounds.high):
        _check_alone(field, end, file)
    return factor


def _whole(levels: Range, field: str, source: str) -> Range:
    numbers = {"low": levels.low, "high": levels.high, "step": levels.step}
    for end in numbers.values():
        if end is not None and end != int(end):
            raise ConfigError(f"{source}: {field} is a whole number, and {end:g} is none.")
    return levels.model_copy(
        update={name: None if end is None else int(end) for name, end in numbers.items()}
    )


def _check_alone(field: str, value: Any, file: StudyFile) -> None:  # noqa: ANN401 - as it was written
    """Make sure that a field takes a value, whatever others have."""
    section, _, name = field.partition(".")
    known = {str(key): kind for key, kind in SECTIONS.items()}[section].model_fields[name]
    alone: Any = create_model("Alone", __base__=Written, **{name: (known.annotation, known)})  # type: ignore[call-overload]
    validate(alone, {name: value}, f"{file.source}, [factors] {section}", file.folder)


def some_levels(factor: Dimension) -> list[Level]:
    """Return all levels, or both ends of a range."""
    return (
        [factor.range.low, factor.range.high]
        if factor.range
        else [choice.level for choice in factor.choices]
    )


def random_level(factor: Dimension, chance: random.Random) -> Level:
    """Draw a level, all alike; on a log scale, those of each decade."""
    if factor.range is None:
        return chance.choice(factor.choices).level
    low, high = factor.range.low, factor.range.high
    if factor.range.step is not None:
        steps = round((high - low) / factor.range.step)
        return factor.tidy(low + chance.randint(0, steps) * factor.range.step)
    if factor.is_whole and not factor.range.log:
        return chance.randint(int(low), int(high))
    if factor.range.log:
        return factor.tidy(math.exp(chance.uniform(math.log(low), math.log(high))))
    return factor.tidy(chance.uniform(low, high))


def _number_of(field: str) -> type | None:
    """Return int or float for a field that holds numbers, None for others."""
    section, _, name = field.partition(".")
    known = {str(key): kind for key, kind in SECTIONS.items()}[section].model_fields[name]
    annotation: Any = known.annotation
    kinds = {annotation}
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = set(get_args(annotation)) - {type(None)}
    kinds = {get_args(kind)[0] if hasattr(kind, "__metadata__") else kind for kind in kinds}
    return next(iter(kinds)) if kinds in ({int}, {float}) else None
