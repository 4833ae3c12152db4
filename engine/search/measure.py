"""Measure trials: their conditions are made as those of any study, and read off the runs."""

import contextlib
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from engine.errors import InputError
from engine.generate.generation import Lease
from engine.make.fill import Filled
from engine.make.kept import SharedEngines
from engine.make.make import Making, make
from engine.make.mend import mend, mending
from engine.make.shares import shares
from engine.make.training import Training
from engine.make.work import Work
from engine.plan.cell import Cell
from engine.plan.plan import Plan, make_plan
from engine.search.cost import cost, extents
from engine.search.identities import IdentityMap
from engine.search.space import Space
from engine.search.trial_book import Measured, Trial, Unmeasured
from engine.status.files import damaged_files, files_of
from engine.status.spent import Spent, taken
from engine.status.survey import Ready, survey
from engine.steps.pool import Pool
from engine.study.factors import Condition
from engine.study.study import StudyFile


class TrialRunner(contextlib.ExitStack):
    """Measures the trials of one phase after another; use it as a context manager.

    What is made for all of them are the steps of one plan, which grows from phase to phase. Where
    there is room for engines and workers beside each other they stay up until the end; else they
    take turns, phase by phase.

    Args:
        file: The study.
        space: What trials can be.
        cover: A plan with every level of every factor, whose engines must find room; the root, and
            who is told of progress.

    Attributes:
        asked: The conditions that were measured, by trial and rung.
        plan: Their steps; None before the first phase.
        troubles: What went wrong with engines in the last phase, a sentence each.
        is_spent: Whether the budget bore no more rows then.
    """

    def __init__(self, file: StudyFile, space: Space, cover: Work) -> None:
        super().__init__()
        self._file, self._space, self._cover = file, space, cover
        self._store, self._watch = cover.store, cover.watch
        self._trials: dict[int, Trial] = {}
        self._given_up: dict[str, Pool] = {}  # of trials that failed, by fingerprint
        self.asked: dict[tuple[int, int], Condition] = {}
        self._shared: tuple[SharedEngines, Training] | None = None
        self._is_begun = False
        self._checked: set[str] = set()
        self.plan: Plan | None = None
        self.troubles: list[str] = []
        self.is_spent = False

    def measure(self, asked: Sequence[tuple[Trial, int]]) -> dict[int, Measured | Unmeasured]:
        """Measure trials at their rungs.

        Args:
            asked: The trials, each with the rung.

        Returns:
            What each came to, by its number.

        Raises:
            InputError: Levels do not go together, or an engine cannot do what is asked of it.
            DamagedError: A file is damaged again that was made anew.
        """
        refused = self._plan(asked)
        remaining = [(trial, rows) for trial, rows in asked if trial.number not in refused]
        if not remaining or self.plan is None:
            return dict(refused)
        plan = self.plan
        self._check(plan)

        def attempt() -> dict[int, Measured | Unmeasured]:
            making = self._make(plan)
            self.troubles, self.is_spent = list(making.filled.troubles), making.filled.is_spent
            return self._readings(remaining, _Readings(making))

        readings = mending(self._store, self._watch, attempt)
        self._checked |= set(files_of(plan, self._store))
        return {**refused, **readings}

    def read_off(
        self, asked: Sequence[tuple[Trial, int]], why: str
    ) -> dict[int, Measured | Unmeasured]:
        """Return what trials came to of which all is there; of the others, why they are cut off."""
        plan = self.plan
        if plan is None:
            return {trial.number: Unmeasured(rows, why, is_cut_off=True) for trial, rows in asked}
        now = survey(plan, self._store)
        making = Making({}, Filled(now, [why], is_spent=True), now)
        planned = [(trial, rows) for trial, rows in asked if (trial.number, rows) in self.asked]
        readings = self._readings(planned, _Readings(making))
        cut = {trial.number: Unmeasured(rows, why, is_cut_off=True) for trial, rows in asked}
        return {
            **cut,
            **{at: reading for at, reading in readings.items() if isinstance(reading, Measured)},
        }

    def _readings(
        self, asked: Sequence[tuple[Trial, int]], readings: "_Readings"
    ) -> dict[int, Measured | Unmeasured]:
        return {
            trial.number: readings.of(self.asked[trial.number, rows], rows) for trial, rows in asked
        }

    def _plan(self, asked: Sequence[tuple[Trial, int]]) -> dict[int, Unmeasured]:
        """Plan these beside all that was measured before; return those that cannot be planned.

        Trials that failed are left out: they would be made again in each phase, and if one came to
        something in the end, a search that is resumed would take another course.
        """
        for trial, rows in asked:
            self._trials[trial.number] = trial
            self.asked[trial.number, rows] = self._space.condition(trial.point, rows)
        try:
            self.plan = make_plan(self._within_budget(), self._going())
            return {}
        except InputError:  # which does not say whose it is
            refused = self._refused(asked)
            if not refused:
                raise
        for number, unmeasured in refused.items():
            del self.asked[number, unmeasured.rows]
        going = self._going()
        self.plan = make_plan(self._within_budget(), going) if going else None
        return refused

    def _refused(self, asked: Sequence[tuple[Trial, int]]) -> dict[int, Unmeasured]:
        """Plan each trial alone; return those that cannot be planned, with the reason."""
        refused: dict[int, Unmeasured] = {}
        for trial, rows in asked:
            try:
                make_plan(self._file, [self.asked[trial.number, rows]])
            except InputError as error:
                refused[trial.number] = Unmeasured(rows, str(error))
        return refused

    def _within_budget(self) -> StudyFile:
        """Return the study with the tokens that are left, those of trials that failed taken off."""
        study = self._file.study
        if self.plan:
            numbers = IdentityMap(
                (condition, number) for (number, _), condition in self.asked.items()
            )
            failed: list[Pool] = []
            going: list[Pool] = []
            for cell in self.plan.cells:
                standing = self._trials[numbers[cell.condition]].standing
                if cell.mix.view:
                    (failed if standing == "failed" else going).append(cell.mix.view.pool)
            self._given_up |= {pool.fingerprint: pool for pool in self.plan.with_sources(failed)}
            for pool in self.plan.with_sources(going):  # which the plan itself counts
                self._given_up.pop(pool.fingerprint, None)
        limit = study.budget.max_tokens
        lost = taken(self._given_up.values(), self._store, study.name)
        if limit is None or not lost.rows:
            return self._file
        remaining = max(0, limit - int(lost.prompt_tokens + lost.tokens))
        budget = study.budget.model_copy(update={"max_tokens": remaining})
        limited_study = study.model_copy(update={"budget": budget})
        return StudyFile(limited_study, self._file.tasks, self._file.path)

    def _going(self) -> list[Condition]:
        return [
            condition
            for (number, _), condition in self.asked.items()
            if self._trials[number].standing != "failed"
        ]

    def _check(self, plan: Plan) -> None:
        """Set aside what is damaged of what was there before this sitting, each file once."""
        new = set(files_of(plan, self._store)) - self._checked
        for damaged in list(damaged_files(sorted(new), self._store)):
            mend(damaged, self._store, self._watch)

    def _make(self, plan: Plan) -> Making:
        work = self._cover.on(plan)
        self._begin(work)
        if self._shared is None:
            with Training(work) as training:
                return make(work, training)
        engines, training = self._shared
        training.turn_to(plan)
        return make(work, training, engines)

    def _begin(self, work: Work) -> None:
        """Find out, once, whether there is room for engines and workers that stay up."""
        if self._is_begun:
            return
        self._is_begun = True
        executor = work.executor()
        study = self._file.study
        pools = (*self._cover.plan.pools, *work.plan.pools)
        whole = {pool.fingerprint: pool for pool in pools}
        room, beside = shares(executor, study.resources, whole.values())
        if room and beside:
            engines = SharedEngines(self._store, study.resources, study.name, Lease(executor, room))
            training = Training(work, beside)
            enter = self.enter_context
            self._shared = enter(engines), enter(training)


class _Readings:
    """What conditions came to, as the files tell."""

    def __init__(self, making: Making) -> None:
        now = making.now
        self._plan, self._now, self._store = now.plan, now, now.seen
        self._failures, self._filled = making.failures, making.filled
        self._ready = IdentityMap((ready.cell, ready) for ready in now.ready)
        self._given_up = IdentityMap(now.given_up)

    def of(self, condition: Condition, rows: int) -> Measured | Unmeasured:
        cells = [cell for cell in self._plan.cells if cell.condition is condition]
        for cell in cells:
            if cell in self._given_up:
                return Unmeasured(rows, self._given_up[cell])
            if cell not in self._ready:
                troubles = self._filled.troubles
                why = troubles[0] if troubles else "its rows could not be made"
                return Unmeasured(rows, why, is_cut_off=self._filled.is_spent)
        ready = [self._ready[cell] for cell in cells]
        for ready_cell in ready:
            for run in ready_cell.runs:
                if run.name not in self._now.finished:
                    return Unmeasured(rows, self._failures.get(run.name) or "it was not trained")
        return self._measured(ready, rows)

    def _measured(self, ready: Sequence[Ready], rows: int) -> Measured:
        # replicates that came to the very same runs, such as those of recorded rows, are one draw
        distinct = {
            frozenset(run.name for run in ready_cell.runs): ready_cell.runs for ready_cell in ready
        }
        bodies = [[self._store.document(run.name) for run in runs] for runs in distinct.values()]
        validation, test = (self._draws(bodies, split) for split in ("validation", "test"))
        took = [self._took(ready_cell.cell) for ready_cell in ready]
        return Measured(
            rows=rows,
            score=mean(validation),
            test=tuple(test),
            runs=sum(len(replicate) for replicate in bodies),
            tokens=sum(spent.prompt_tokens + spent.tokens for spent in took),
            engine_s=sum(spent.engine_s - spent.start_s for spent in took),
            train_s=sum(body["train_seconds"] for replicate in bodies for body in replicate),
            is_short=any(ready_cell.rows.short for ready_cell in ready),
        )

    def _draws(self, bodies: Sequence[Sequence[Mapping[str, Any]]], split: str) -> list[float]:
        """Return a metric of each replicate's mean; where there is one alone, of each repeat."""
        metric = self._plan.file.study.metric
        scores = [
            [float(body["splits"][split][metric]) for body in replicate] for replicate in bodies
        ]
        return [mean(repeats) for repeats in scores] if len(scores) > 1 else scores[0]

    def _took(self, cell: Cell) -> Spent:
        total = Spent()
        if cell.mix.view is None:
            return total
        judged = self._now.standings[cell.mix.view.fingerprint]
        quotas = {
            label: min(rows, judged[label].tally.accepted) for label, rows in cell.quotas.items()
        }
        for extent in extents(self._plan, cell.mix.view, quotas, self._store):
            total = total.plus(cost(extent, self._store))
        return total
