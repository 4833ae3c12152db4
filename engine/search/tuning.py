"""The search in Ray Tune: its searcher, its scheduler, and its trials.

Tune runs in a task of its own, since it would take Ctrl-C for itself. Trials hold no CPU: they wait
at the barrier while the engines and workers that all of them share do what they ask for.
"""

import logging
import os
import tempfile
from collections import Counter
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from engine.nodes.actors import Actor
from engine.search.sampler import Sampler
from engine.search.space import Space
from engine.search.trial import Point, run_trial
from engine.study.study import StudyFile

DEATHS = 3  # of a trial's process at work, before the search ends
SHARE = 1e-3  # of the driver's node, which pins trials to it and holds none of its CPUs


def run_trials(file: StudyFile, barrier: Actor) -> list[str]:
    """Run the trials of a search until none is left.

    Args:
        file: The study.
        barrier: Where they are measured.

    Returns:
        What went wrong with their processes; Tune counts no error where it is interrupted, so that
        none is no proof that all trials came to something.
    """
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the store has all that there is to log
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    here = tune.PlacementGroupFactory([{f"node:{address}": SHARE}])
    with tempfile.TemporaryDirectory(prefix="textmill-tune-") as folder:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, barrier=barrier), here),
            tune_config=tune.TuneConfig(
                search_alg=FactorSearcher(file, barrier),
                scheduler=RungScheduler(),  # type: ignore[no-untyped-call]
                num_samples=-1,  # the searcher knows when it is enough
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=DEATHS),
            ),
        )
        return [str(error) for error in tuner.fit().errors]


class RungScheduler(FIFOScheduler):
    """Ends the trials that do not go on.

    Which do is settled for a whole phase, when all of its trials are measured: Tune's own
    schedulers judge each trial by whoever happened to report before it.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ANN401
        """Return what becomes of a trial that reports."""
        decision: str = TrialScheduler.CONTINUE if result["goes_on"] else TrialScheduler.STOP
        return decision


class FactorSearcher(Searcher):
    """Proposes trials between phases, when what the last phase came to is known.

    Tune hands it results in whatever order they come; the sampler is told them in the order of the
    trials' numbers, and asked only then.

    Args:
        file: The study.
        barrier: Told which trials are at work.
    """

    def __init__(self, file: StudyFile, barrier: Actor) -> None:
        super().__init__()
        self._config, self._board = file.study.search, barrier
        self._sampler = Sampler(Space(file), self._config)
        self._numbers: dict[str, int] = {}  # by Tune's names
        self._at_work: set[int] = set()
        self._awaited: set[int] = set()
        self._taken: Counter[int] = Counter()  # results of each trial
        self._heard: dict[int, dict[str, Any]] = {}
        self._count = 0
        self._may_ask = True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Propose a trial; None if not now, FINISHED if there will be none any more."""
        if self._awaited:
            return None
        if self._wants_more and (proposed := self._sampler.ask()):
            self._count += 1
            self._numbers[trial_id] = proposed.number
            self._at_work.add(proposed.number)
            point: Point = dict(proposed.point)
            return {"number": proposed.number, "point": point}
        if not self._at_work:
            finished: str = Searcher.FINISHED
            return finished
        self._awaited = set(self._at_work)
        ray.get(self._board.expect.remote(sorted(self._at_work)))
        return None

    @property
    def _wants_more(self) -> bool:
        has_room = len(self._at_work) < self._config.concurrent
        return self._may_ask and has_room and self._count < self._config.max_trials

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Hear what a trial came to that goes on."""
        self._hear(self._numbers[trial_id], result)

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        """Hear that a trial has ended.

        Raises:
            RuntimeError: Its process died, and was not to be had again.
        """
        if error or result is None:
            raise RuntimeError("a trial's process died, and Ray Tune gave it up")
        self._hear(self._numbers[trial_id], result)

    def _hear(self, number: int, result: dict[str, Any]) -> None:
        if number not in self._awaited or result["at"] != self._taken[number]:
            return  # a trial that began anew, or what Tune says again when one has ended
        self._taken[number] += 1
        self._heard[number] = result
        self._awaited.discard(number)
        if not self._awaited:
            self._pass_on()

    def _pass_on(self) -> None:
        for number, verdict in sorted(self._heard.items()):
            self._may_ask = self._may_ask and verdict["may_ask"]
            if verdict["score"] is not None:
                self._sampler.tell_rung(number, verdict["rows"], verdict["score"])
            if not verdict["goes_on"]:
                self._at_work.discard(number)
                self._sampler.tell(number, verdict["values"], is_whole=verdict["is_whole"])
        self._heard.clear()

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: a search that is begun again finds its measurements in the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""
