"""What trials are proposed: Optuna, asked and told."""

import random
import warnings
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import optuna
from optuna.trial import TrialState

from engine.search.dimension import Dimension
from engine.search.space import Space, key_of
from engine.search.trial import Point
from engine.study.factors import Level
from engine.study.search_config import SearchConfig

TRIES = 10  # proposals in a row that are no new ones, until one is drawn from those that are
DRAWS = 500  # at random in vain, until there is said to be none


class Proposed(NamedTuple):
    """A trial that is to be measured.

    Attributes:
        number: From 0, in the order of proposals.
        point: Its levels.
    """

    number: int
    point: Point


class Sampler:
    """Proposes points, each once, and learns what came of them.

    What it proposes follows from its seed and from what it was told, in the order of the calls.

    Args:
        space: What may be tried.
        config: How.
    """

    def __init__(self, space: Space, config: SearchConfig) -> None:
        quieten_optuna()
        self._space, self._has_one = space, len(config.objectives) == 1
        self._study = optuna.create_study(
            sampler=_sampler(config),
            directions=[
                "maximize" if objective == "score" else "minimize"
                for objective in config.objectives
            ],
        )
        self._open: dict[int, optuna.Trial] = {}
        self._seen: set[bytes] = set()
        self._count = 0
        self._seed, self._is_grid = config.seed, config.sampler == "grid"
        self._first: deque[Point] = deque(space.starts)
        if self._is_grid:  # what was proposed before it is passed over
            self._first.extend(islice(space.points(), config.max_trials + len(space.starts)))

    def ask(self) -> Proposed | None:
        """Propose a point that was not proposed before; None if there is none left."""
        while self._first:
            start = self._first.popleft()
            if proposed := self._ask_once(start):
                return proposed
            if not self._is_grid and (new := self._some_new(start)):
                return self._ask_once(new)
        if not self._is_grid:
            for _ in range(TRIES):
                if proposed := self._ask_once(None):
                    return proposed
            if new := self._some_new():
                return self._ask_once(new)
        return None

    def _ask_once(self, start: Point | None) -> Proposed | None:
        """Ask for a trial, with some of its levels or none given; None if it is no new one."""
        if start is not None:
            self._study.enqueue_trial(dict(start))
        trial = self._study.ask()
        point = self._space.suggest(lambda factor: _draw(trial, factor))
        if key_of(point) not in self._seen and self._space.has(point):
            return self._propose(trial, point)
        self._forget(trial)
        return None

    def _some_new(self, levels: Point | None = None) -> Point | None:
        """Draw a new point at random; with given levels, if there are any."""
        chance = random.Random(f"{self._seed} {self._count}")
        if self._space.is_small and levels is None:
            unseen = [point for point in self._space.points() if key_of(point) not in self._seen]
            return chance.choice(unseen) if unseen else None
        drawn = (self._space.suggest_at_random(chance, levels) for _ in range(DRAWS))
        new = (
            point for point in drawn if key_of(point) not in self._seen and self._space.has(point)
        )
        return next(new, None)

    def tell_rung(self, number: int, rows: int, score: float) -> None:
        """Say what a trial came to at a rung."""
        if self._has_one:  # Optuna takes no values on the way where there are several objectives
            self._open[number].report(score, rows)

    def tell(self, number: int, values: list[float] | None, *, is_whole: bool) -> None:
        """Say that a trial has ended.

        Args:
            number: The trial.
            values: What it came to, in the order of the objectives; None if to nothing.
            is_whole: Whether it was measured at the last rung, and not stopped before.
        """
        trial = self._open.pop(number)
        if values is None:
            self._study.tell(trial, state=TrialState.FAIL)
        elif is_whole:
            self._study.tell(trial, values)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def _propose(self, trial: optuna.Trial, point: Point) -> Proposed:
        self._seen.add(key_of(point))
        number, self._count = self._count, self._count + 1
        self._open[number] = trial
        return Proposed(number, point)

    def _forget(self, trial: optuna.Trial) -> None:
        self._study.tell(trial, state=TrialState.FAIL)


def quieten_optuna() -> None:
    """Have Optuna say nothing of studies that are made, nor of what it calls experimental."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _sampler(config: SearchConfig) -> optuna.samplers.BaseSampler:
    if config.sampler == "tpe":
        return optuna.samplers.TPESampler(
            seed=config.seed,
            n_startup_trials=config.startup,
            multivariate=True,
            group=True,
            constant_liar=True,
        )
    return optuna.samplers.RandomSampler(seed=config.seed)


def _draw(trial: optuna.Trial, factor: Dimension) -> Level:
    if factor.range is None:
        drawn: Level = trial.suggest_categorical(factor.name, [c.level for c in factor.choices])
        return drawn
    span: Mapping[str, bool | float] = {"log": factor.range.log}
    if factor.range.step is not None:
        span = {"step": factor.range.step}
    if factor.is_whole:
        return trial.suggest_int(factor.name, int(factor.range.low), int(factor.range.high), **span)  # type: ignore[arg-type]
    return factor.tidy(
        trial.suggest_float(factor.name, factor.range.low, factor.range.high, **span)  # type: ignore[arg-type]
    )
