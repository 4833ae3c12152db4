"""The course of a search: its trials, what they came to, and which of them go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from engine.search.stopping import RULES
from engine.search.trial import Point, Verdict
from engine.study.search_config import SearchConfig

Standing = Literal["at work", "whole", "stopped", "short", "failed", "cut off"]


class Measured(NamedTuple):
    """What a trial came to at a rung.

    Attributes:
        rows: The rung: synthetic rows asked for.
        score: Mean of the study's metric on validation, over replicates and repeats.
        test: The metric on test, of each independent draw: with several replicates their means,
            else the repeats. Nothing is decided by it.
        runs: How many classifiers were trained for it.
        tokens: Tokens of prompts and completions that its rows took; of the pool, up to the last
            row that is trained on.
        engine_s: Seconds of engines that they took, without starts.
        train_s: Seconds of training.
        is_short: Whether fewer rows than the rung's could be had.
    """

    rows: int
    score: float
    test: tuple[float, ...]
    runs: int
    tokens: float
    engine_s: float
    train_s: float
    is_short: bool = False


class Unmeasured(NamedTuple):
    """Why a trial came to nothing at a rung.

    Attributes:
        rows: The rung.
        why: The reason.
        is_cut_off: Whether the search's limits are the reason, and not the trial.
    """

    rows: int
    why: str
    is_cut_off: bool = False


@dataclass
class Trial:
    """One point, and how far it has come.

    Attributes:
        number: From 0, in the order in which trials were proposed.
        point: Its levels.
        rungs: What it came to, from the first rung on.
        standing: "at work"; "whole", having been measured at the last rung; "stopped" by the rule;
            "short" of rows, so that there is no rung above; "failed"; or "cut off" by a limit.
        why: What there is to be said of that.
    """

    number: int
    point: Point
    rungs: list[Measured] = field(default_factory=list)
    standing: Standing = "at work"
    why: str = ""

    @property
    def last(self) -> Measured | None:
        """What it came to at the highest rung that it was measured at."""
        return self.rungs[-1] if self.rungs else None

    def values(self, config: SearchConfig) -> list[float] | None:
        """Return what it came to, in the order of the objectives; None if to nothing."""
        if self.last is None:
            return None
        by_objective = {
            "score": self.last.score,
            "tokens": self.last.tokens,
            "seconds": self.last.engine_s + sum(rung.train_s for rung in self.rungs),
        }
        return [by_objective[name] for name in config.objectives]


class TrialBook:
    """The trials of a search, phase by phase.

    In a phase every trial at work is measured at its next rung. What follows from a phase depends
    on what was measured alone, and not on when.

    Args:
        config: How trials are searched.
        rungs: Numbers of synthetic rows, rising.
    """

    def __init__(self, config: SearchConfig, rungs: list[int]) -> None:
        self._config, self.rungs = config, rungs
        self.trials: dict[int, Trial] = {}
        self.phases = 0

    def begin(self, points: Mapping[int, Point]) -> list[tuple[Trial, int]]:
        """Begin a phase: return what is to be measured, trials with their rungs, in order.

        Args:
            points: The trials at work, new ones among them, by number.
        """
        for number, point in points.items():
            self.trials.setdefault(number, Trial(number, point))
        at_work = [self.trials[number] for number in sorted(points)]
        return [(trial, self.rungs[len(trial.rungs)]) for trial in at_work]

    def end(
        self, came_to: Mapping[int, Measured | Unmeasured], *, is_over: bool
    ) -> dict[int, Verdict]:
        """End a phase.

        Args:
            came_to: What each trial at work came to, by number.
            is_over: Whether the search has reached a limit: then nothing goes on.

        Returns:
            What each of them is told.
        """
        self.phases += 1
        for number, outcome in came_to.items():
            self._note(self.trials[number], outcome)
        on = self._going_on() if not is_over else set()
        for number in came_to:
            trial = self.trials[number]
            if trial.standing == "at work" and number not in on:
                trial.standing = "cut off" if is_over else "stopped"
        return {
            number: self._verdict(self.trials[number], outcome, may_ask=not is_over)
            for number, outcome in came_to.items()
        }

    def _note(self, trial: Trial, outcome: Measured | Unmeasured) -> None:
        if isinstance(outcome, Unmeasured):
            trial.standing, trial.why = "cut off" if outcome.is_cut_off else "failed", outcome.why
            return
        trial.rungs.append(outcome)
        if outcome.is_short:
            trial.standing = "short"
        elif len(trial.rungs) == len(self.rungs):
            trial.standing = "whole"

    def _going_on(self) -> set[int]:
        rule, on = RULES[self._config.stopping], set()
        for count in range(1, len(self.rungs)):
            reached = [trial for trial in self.trials.values() if len(trial.rungs) >= count]
            scores = {trial.number: trial.rungs[count - 1].score for trial in reached}
            best = rule(scores, self._config.reduction_factor)
            on |= {
                trial.number
                for trial in reached
                if trial.number in best
                and len(trial.rungs) == count
                and trial.standing == "at work"
            }
        return on

    def _verdict(self, trial: Trial, outcome: Measured | Unmeasured, *, may_ask: bool) -> Verdict:
        is_measured = isinstance(outcome, Measured)
        return Verdict(
            at=len(trial.rungs) - 1 if is_measured else len(trial.rungs),
            rows=outcome.rows,
            score=outcome.score if isinstance(outcome, Measured) else None,
            values=trial.values(self._config) if is_measured else None,
            goes_on=trial.standing == "at work",
            is_whole=trial.standing == "whole",
            may_ask=may_ask,
        )

    @property
    def is_settled(self) -> bool:
        """Whether no trial is at work any more."""
        return all(trial.standing != "at work" for trial in self.trials.values())
