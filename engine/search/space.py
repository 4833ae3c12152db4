"""What a search may try: every factor of a study but the number of synthetic rows."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from engine.errors import ConfigError
from engine.fingerprint import canonical
from engine.plan.plan import READERS
from engine.plugins import did_you_mean
from engine.search.dimension import Dimension, dimension, random_level, some_levels
from engine.search.trial import Point
from engine.study.factors import (
    Choice,
    Condition,
    Level,
    check_apart,
    check_exclusions,
    condition_of,
)
from engine.study.search_config import Range, check_rising
from engine.study.study import SECTIONS, StudyFile

QUANTITY = "mix.quantity"
QUANTITIES = ("quantity", QUANTITY)  # names that a study may give it
# what decides which other factors apply, each behind those that decide about itself
SWITCHES = [f"generate.{name}" for name in ("engine", "strategy", "labelling", "rephrase")]
SWITCHES += ["train.trainer", "train.epochs"]
MANY = 5000  # points that are still looked at one by one
COMPLETIONS = 100  # ways to complete some levels that are tried, before there is said to be none
RUNGS = 3  # where a study gives none
COLUMNS = {"trial", "validation", "test", "tokens", "engine_seconds", "standing", "why"}


class Space:
    """What trials may be, and the rungs that they are measured at.

    Args:
        file: The study.

    Attributes:
        dimensions: The factors, those first that decide which others apply.
        rungs: Numbers of synthetic rows, rising.
        starts: The levels that the study says to begin with.

    Raises:
        ConfigError: There is nothing to search, a factor, range or level is wrong, or a rung.
    """

    def __init__(self, file: StudyFile) -> None:
        self._file, self._source = file, file.source
        self._check_task()
        levels = file.study.factors
        self._applying_after: dict[bytes, frozenset[str]] = {}
        quantities = {name: levels[name] for name in levels if name in QUANTITIES}
        factors = [dimension(name, levels[name], file) for name in levels if name not in quantities]
        self._check_names(factors)
        self._quantity = next(iter(quantities), QUANTITIES[0])
        self.rungs = self._rungs(quantities.get(self._quantity))
        self._check_factors(factors)
        # those first that decide which others apply: suggest draws in this order
        self.dimensions = sorted(factors, key=_precedence)
        self._by_name = {factor.name: factor for factor in factors}
        self._check_exclusions(factors)
        self._check_sampler()
        self._check_cover()
        self.starts = [self._start(start) for start in file.study.search.start_from]

    def _check_task(self) -> None:
        if len(self._file.tasks) > 1:
            raise ConfigError(
                f"{self._source}: a search has one task; choose one, such as "
                f"--set 'task=\"{self._file.study.task[0]}\"'."
            )

    def _check_names(self, factors: Sequence[Dimension]) -> None:
        check_apart({factor.name: factor.fields for factor in factors}, self._source)
        if taken := next((factor.name for factor in factors if factor.name in COLUMNS), None):
            raise ConfigError(
                f"{self._source}: {taken!r} is a column of a search's results; choose another name."
            )

    def _check_factors(self, factors: Sequence[Dimension]) -> None:
        for factor in factors:
            if QUANTITY in factor.fields:
                raise ConfigError(
                    f"{self._source}: the factor {factor.name!r} sets quantity, which in a search "
                    "is the budget that trials are given: see rungs in [search]."
                )
        if not factors:
            raise ConfigError(
                f"{self._source}: there is nothing to search: [factors] has no factor besides "
                'quantity. Give some, such as strategy = ["zero_shot", "topic"] or '
                "temperature = {low = 0.3, high = 1.3}."
            )

    def _check_sampler(self) -> None:
        ranged = next((name for name, factor in self._by_name.items() if factor.range), None)
        if self._file.study.search.sampler == "grid" and ranged:
            raise ConfigError(
                f"{self._source}: sampler is 'grid', but {ranged!r} is a range: give a list of "
                'levels, or sampler = "tpe" or "random".'
            )

    def _check_cover(self) -> None:
        if not any(self.cover()):
            raise ConfigError(
                f"{self._source}: there is no trial to make: no factor applies, or all "
                "combinations of levels are excluded, or refused by the fields that they set."
            )

    @property
    def is_finite(self) -> bool:
        """Whether all trials can be told: no factor has a range."""
        return all(not factor.range for factor in self.dimensions)

    @property
    def is_small(self) -> bool:
        """Whether they are so few, too, that all of them can be looked at."""
        count = 1
        for factor in self.dimensions:
            count *= len(factor.choices)
        return self.is_finite and count <= MANY

    def suggest(self, draw: Callable[[Dimension], Level]) -> Point:
        """Draw a level of each factor that applies to what was drawn before."""
        cell: dict[str, Choice] = {}
        for factor in self.dimensions:
            applying = self._applying(cell)
            if factor.fields & applying:
                choice = factor.choice(draw(factor))
                if applying & set(choice.settings):  # bundled levels may differ in what they set
                    cell[factor.name] = choice
        return {name: choice.level for name, choice in cell.items()}

    def suggest_at_random(self, chance: random.Random, levels: Point | None = None) -> Point:
        """Draw every level that is not given, all alike."""
        known = levels or {}
        return self.suggest(
            lambda factor: (
                known[factor.name] if factor.name in known else random_level(factor, chance)
            )
        )

    def has(self, point: Point) -> bool:
        """Say whether a point is one to try.

        It is not if the study leaves it out at every rung, or if its levels do not go together.
        """
        if all(self._is_excluded(point, rung) for rung in self.rungs):
            return False
        try:
            self.condition(point, self.rungs[-1])
        except ConfigError:  # each level alone was found right
            return False
        return True

    def points(self) -> Iterator[Point]:
        """Yield every point, of a space that is finite, in the order of the study's grid."""
        seen: set[bytes] = set()
        names = [name for name in self._file.study.factors if name in self._by_name]
        levels = [[choice.level for choice in self._by_name[name].choices] for name in names]
        for cell in product(*levels):
            by_name = dict(zip(names, cell, strict=True))
            point = self.suggest(lambda factor, by_name=by_name: by_name[factor.name])  # type: ignore[misc]
            if key_of(point) not in seen:
                seen.add(key_of(point))
                if self.has(point):
                    yield point

    def cover(self) -> Iterator[Point]:
        """Yield points with every level, and both ends of every range, wherever they apply.

        What is wrong with a level is found by planning these, before anything starts.
        """
        seen: set[bytes] = set()
        switches = [factor for factor in self.dimensions if factor.fields & set(SWITCHES)]
        for levels in product(*(some_levels(factor) for factor in switches)):
            first = dict(zip((factor.name for factor in switches), levels, strict=True))
            wanted: list[dict[str, Level]] = [first]
            for factor in self.dimensions:
                if factor not in switches:
                    wanted += [{**first, factor.name: level} for level in some_levels(factor)]
            for partial in wanted:
                point = self._completed(partial)
                if point is not None and key_of(point) not in seen:
                    seen.add(key_of(point))
                    yield point

    def condition(self, point: Point, quantity: int) -> Condition:
        """Return the condition of a point at a rung.

        Raises:
            ConfigError: Its levels do not go together.
        """
        nothing = Choice(None, {})
        cell = {name: nothing for name in self._file.study.factors if name != self._quantity}
        cell |= {name: self._by_name[name].choice(level) for name, level in point.items()}
        task = Choice(next(iter(self._file.tasks)), {})
        count = Choice(quantity, {QUANTITY: quantity})
        return condition_of(self._file, {"task": task, **cell, self._quantity: count}, READERS)

    def _completed(self, levels: Mapping[str, Level]) -> Point | None:
        """Return some point with given levels; None if there is none, or none is found."""
        point = self.suggest(lambda factor: levels.get(factor.name, some_levels(factor)[0]))
        chance = random.Random(0)
        for _ in range(COMPLETIONS):
            if self.has(point):
                return point
            point = self.suggest_at_random(chance, levels)
        return None

    def _applying(self, cell: Mapping[str, Choice]) -> frozenset[str]:
        """Return the fields that count, given what was drawn so far."""
        settings = {
            field: value
            for choice in cell.values()
            for field, value in choice.settings.items()
            if field in SWITCHES
        }
        key = canonical({field: repr(value) for field, value in sorted(settings.items())})
        if key not in self._applying_after:
            task = Choice(next(iter(self._file.tasks)), {})
            some = Choice(None, {**settings, QUANTITY: 1})
            condition = condition_of(self._file, {"task": task, "": some}, READERS)
            fields = {f"mix.{name}" for name in SECTIONS["mix"].model_fields}
            fields |= {f"curate.{name}" for name in SECTIONS["curate"].model_fields}
            fields |= {f"train.{name}" for name in READERS.train(condition.train)}
            if condition.generate:
                fields |= {f"generate.{name}" for name in READERS.generate(condition.generate)}
            self._applying_after[key] = frozenset(fields)
        return self._applying_after[key]

    def _is_excluded(self, point: Point, rung: int) -> bool:
        """Say whether a study leaves a point out at a rung.

        A factor that does not apply to it stands for all of its levels at once.
        """
        whole = {**point, "task": next(iter(self._file.tasks)), self._quantity: rung}
        return any(
            all(self._is_named(name, levels, whole) for name, levels in exclusion.items())
            for exclusion in self._file.study.exclude
        )

    def _is_named(self, name: str, levels: Any, whole: Point) -> bool:  # noqa: ANN401
        named = levels if isinstance(levels, list) else [levels]
        if name in whole:
            return whole[name] in named
        return all(choice.level in named for choice in self._by_name[name].choices)

    def _rungs(self, levels: Any) -> list[int]:  # noqa: ANN401 - as Study has them
        study, config = self._file.study, self._file.study.search
        if isinstance(levels, Range):
            raise ConfigError(
                f"{self._source}: quantity is a range; in a search it is the budget that trials "
                "are given: write its rungs, such as quantity = [100, 300, 900]."
            )
        if config.rungs:
            return list(config.rungs)
        if levels is None:
            top, by = study.mix.quantity, config.reduction_factor
            levels = sorted({round(top / by**power) for power in range(RUNGS)} - {0})
        for level in levels:
            if not isinstance(level, int) or isinstance(level, bool):
                raise ConfigError(
                    f"{self._source}: quantity counts rows, and {level!r} is no whole number."
                )
        rungs: list[int] = levels[1:] if levels[:1] == [0] else list(levels)  # 0: real rows alone
        if not rungs or min(rungs) < 1:
            raise ConfigError(f"{self._source}: a rung has at least one synthetic row.")
        try:
            check_rising(rungs)
        except ValueError as error:
            raise ConfigError(f"{self._source}, [factors] {self._quantity}: {error}.") from error
        return rungs

    def _check_exclusions(self, factors: Sequence[Dimension]) -> None:
        for exclusion in self._file.study.exclude:
            for factor in factors:
                if factor.range and factor.name in exclusion:
                    raise ConfigError(
                        f"{self._source}, [[exclude]]: {factor.name} is a range, of which no "
                        "single level can be left out."
                    )
        named = {factor.name: list(factor.choices) for factor in factors if not factor.range}
        named["task"] = [Choice(name, {}) for name in self._file.tasks]
        levels = self._file.study.factors.get(self._quantity)
        known = [*self.rungs, *(levels if isinstance(levels, list) else [])]
        named[self._quantity] = [Choice(rung, {}) for rung in known]
        check_exclusions(self._file.study, named, self._source)

    def _start(self, written: Mapping[str, Any]) -> Point:
        here = f"{self._source}, [search] start_from"
        levels: dict[str, Level] = {}
        for name, value in written.items():
            if name not in self._by_name:
                hint = did_you_mean(name, self._by_name)
                raise ConfigError(f"{here}: no factor {name!r} is searched.{hint}")
            levels[name] = self._by_name[name].written_level(value, here)
        point = self._completed(levels)
        if point is None:
            raise ConfigError(f"{here}: {dict(written)} is no trial: it is excluded, or refused.")
        for name in levels:
            if name not in point:
                raise ConfigError(f"{here}: {name} does not apply to the rest of {dict(written)}.")
        return levels


def _precedence(factor: Dimension) -> int:
    places = [SWITCHES.index(field) for field in factor.fields if field in SWITCHES]
    return min(places, default=len(SWITCHES))


def key_of(point: Point) -> bytes:
    """Return what tells a point from others."""
    return canonical(dict(sorted(point.items())))
