"""Search a study's factors: what ``textmill search`` does.

    space -> sampler -> trials -> phase: plan, make, read -> trial book -> report

On Ray its Tune holds the trials; this process measures them, all those of a phase together. Nothing
that is decided depends on which was faster. So a search that was killed is resumed by searching
again: what was measured is in the store, and is found there at once, in the same order.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from engine.errors import TextmillError
from engine.make.progress import Progress, Watch
from engine.make.work import ExecutorOnDemand, Work
from engine.nodes.executor import Executor
from engine.plan.plan import Plan, make_plan
from engine.search.clock import Clock, OutOfTimeError
from engine.search.measure import TrialRunner
from engine.search.space import Space
from engine.search.trial import Point, Verdict
from engine.search.trial_book import Measured, Trial, TrialBook, Unmeasured
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.factors import Condition
from engine.study.study import StudyFile


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search came to.

    Attributes:
        file: The study.
        space: What could be tried.
        trials: The trials, by number.
        plan: The steps of all that was measured; None if nothing was.
        asked: The conditions that were measured, by trial and rung.
        phases: How many phases there were.
        hours: How long it was at work, all sittings together.
        troubles: What went wrong with engines, and limits that were reached, a sentence each.
    """

    file: StudyFile
    space: Space
    trials: dict[int, Trial]
    plan: Plan | None
    asked: dict[tuple[int, int], Condition]
    phases: int
    hours: float
    troubles: list[str]


class Prepared(NamedTuple):
    """A search of which nothing is found wrong.

    Attributes:
        file: The study as it is searched, with the search's limit of tokens among its own.
        space: What trials can be.
        cover: A plan with every level of every factor.
    """

    file: StudyFile
    space: Space
    cover: Plan


def prepare(file: StudyFile) -> Prepared:
    """Check a search before anything starts.

    Raises:
        InputError: The space, a level, the data or a model is wrong.
    """
    study = file.study
    if study.search.max_tokens is not None:
        limits = [study.search.max_tokens, study.budget.max_tokens]
        least = min(limit for limit in limits if limit is not None)
        budget = study.budget.model_copy(update={"max_tokens": least})
        file = StudyFile(study.model_copy(update={"budget": budget}), file.tasks, file.path)
    space = Space(file)
    return Prepared(file, space, cover_plan(file, space))


def cover_plan(file: StudyFile, space: Space) -> Plan:
    """Return a plan with every level of every factor, at the last rung.

    Raises:
        InputError: A level, the data or a model is wrong.
    """
    top = space.rungs[-1]
    return make_plan(file, [space.condition(point, top) for point in space.cover()])


def search_study(file: StudyFile, store: Store, watch: Watch) -> SearchResult:
    """Search, or go on with it.

    Args:
        file: The study.
        store: The root.
        watch: Told of all progress.

    Raises:
        InputError: The space, a level, the data or a model is wrong.
        TextmillError: The trials' processes died again and again.
    """
    bounded, space, whole = prepare(file)
    store.probe()
    config = file.study.search
    clock = Clock(search_folder(file), store, config.max_hours)
    course = TrialBook(config, space.rungs)
    with contextlib.ExitStack() as stack:
        executor = ExecutorOnDemand(stack, whole, lambda: survey(whole, store), watch)
        running = executor()
        cover = Work(whole, store, clock.watching(watch), executor)
        runner = stack.enter_context(TrialRunner(bounded, space, cover))
        points = islice(space.points(), config.max_trials) if space.is_small else None
        most = config.max_trials if points is None else sum(1 for _ in points)
        searching = _Searching(course, runner, clock, watch, most)
        searching.run(file, running)
    clock.note()
    return SearchResult(
        file=file,
        space=space,
        trials=course.trials,
        plan=runner.plan,
        asked=dict(runner.asked),
        phases=course.phases,
        hours=clock.hours,
        troubles=searching.troubles,
    )


def search_folder(file: StudyFile) -> str:
    """Return the folder of a search's results in the store."""
    return f"studies/{file.study.name}/search"


class _Searching:
    """The loop of ``search_study``: a phase after another, until no trial is left."""

    def __init__(
        self, course: TrialBook, runner: TrialRunner, clock: Clock, watch: Watch, most: int
    ) -> None:
        self._course, self._runner, self._clock = course, runner, clock
        self._watch, self._most = watch, most
        self.troubles: list[str] = []

    def run(self, file: StudyFile, executor: Executor) -> None:
        if executor.name == "ray":  # each is loaded where it is wanted alone: Tune takes seconds
            from engine.search.trials_on_ray import run_trials
        else:
            from engine.search.trials_here import run_trials
        errors = run_trials(file, self._phase)
        if errors or not self._course.is_settled:
            cause = errors[0] if errors else "Ray Tune ended before they did"
            raise TextmillError(
                f"The trials of the search came to no end: {cause} Run the same command to go on."
            )

    def _phase(self, points: dict[int, Point]) -> dict[int, Verdict]:
        """Measure all trials that are at work at their next rung, and say what becomes of them."""
        asked = self._course.begin(points)
        self._show()
        came_to = self._measure(asked)
        verdicts = self._course.end(came_to, is_over=self._is_over(came_to))
        self._clock.note()
        self._say(asked)
        return verdicts

    def _measure(self, asked: list[tuple[Trial, int]]) -> dict[int, Measured | Unmeasured]:
        try:
            came_to = self._runner.measure(asked)
        except OutOfTimeError as over:
            if str(over) not in self.troubles:
                self.troubles.append(f"{str(over)[0].upper()}{str(over)[1:]}: see max_hours.")
            came_to = self._runner.read_off(asked, str(over))
        self.troubles += [
            trouble for trouble in self._runner.troubles if trouble not in self.troubles
        ]
        return came_to

    def _is_over(self, came_to: dict[int, Measured | Unmeasured]) -> bool:
        """Say whether a limit is reached, or nothing ever came of anything."""
        is_cut_off = any(
            isinstance(reading, Unmeasured) and reading.is_cut_off for reading in came_to.values()
        )
        has_some = any(isinstance(reading, Measured) for reading in came_to.values())
        is_hopeless = not has_some and not any(
            trial.rungs for trial in self._course.trials.values()
        )
        return is_cut_off or is_hopeless

    def _show(self, note: str = "") -> None:
        trials = self._course.trials.values()
        ended = sum(trial.standing != "at work" for trial in trials)
        self._watch(Progress("search", self._most, ended, note=note))

    def _say(self, asked: list[tuple[Trial, int]]) -> None:
        """Say what came of a phase."""
        trials = self._course.trials.values()
        rungs = Counter(rows for _, rows in asked)
        counts = ", ".join(f"{count} at {rows:,} rows" for rows, count in sorted(rungs.items()))
        best = max((trial.last.score for trial in trials if trial.last), default=None)
        known = f"; best so far {100 * best:.1f} on validation" if best is not None else ""
        self._show(f"phase {self._course.phases}: measured {counts}{known}")
