"""The search in Ray Tune: its searcher, its scheduler, and its trials.

Tune runs in a task of its own, since it would take Ctrl-C for itself. Trials hold no CPU: they wait
at the barrier while the engines and workers that all of them share do what they ask for.
"""

import contextlib
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from engine.errors import TextmillError
from engine.nodes.executor import LostError, Service
from engine.nodes.on_ray import OnRay, task_at_home
from engine.search.barrier import PhaseBarrier
from engine.search.proposals import Proposals
from engine.search.trial import Point, Verdict, run_trial
from engine.study.study import StudyFile

DEATHS = 3  # of a trial's process at work, before the search ends
POLL_S = 1.0
SHARE = 1e-3  # of the driver's node, which pins trials to it and holds none of its CPUs


def run_trials(
    file: StudyFile, measure: Callable[[dict[int, Point]], dict[int, Verdict]]
) -> list[str]:
    """Run the trials of a search in Ray Tune until none is left.

    Args:
        file: The study.
        measure: Measures trials, by number, and says what becomes of each.

    Returns:
        What went wrong with their processes.

    Raises:
        TextmillError: Ray Tune's own process died.
    """
    barrier = OnRay().service(PhaseBarrier)
    tuning = task_at_home(_tune).remote(file, barrier)
    try:
        while not ray.wait([tuning], timeout=0)[0]:
            if (points := barrier.call("phase", POLL_S)) is not None:
                barrier.call("tell", measure(points))
        errors: list[str] = ray.get(tuning)
    except (ray.exceptions.RayError, LostError) as error:
        raise TextmillError(
            f"The search's trials are lost ({error.__class__.__name__}: "
            f"{str(error).strip().splitlines()[-1]}). Run the same command to go on."
        ) from error
    finally:
        with contextlib.suppress(ray.exceptions.RayError):
            ray.cancel(tuning, force=True)
            barrier.end()
    return errors


def _tune(file: StudyFile, barrier: Service) -> list[str]:
    """Run Ray Tune.

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

    def __init__(self, file: StudyFile, barrier: Service) -> None:
        super().__init__()
        self._board, self._proposals = barrier, Proposals(file)
        self._numbers: dict[str, int] = {}  # by Tune's names
        self._awaited: set[int] = set()
        self._taken: Counter[int] = Counter()  # results of each trial
        self._heard: dict[int, Verdict] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Propose a trial; None if not now, FINISHED if there will be none any more."""
        if self._awaited:
            return None
        if proposed := self._proposals.propose():
            self._numbers[trial_id] = proposed.number
            point: Point = dict(proposed.point)
            return {"number": proposed.number, "point": point}
        if not self._proposals.at_work:
            finished: str = Searcher.FINISHED
            return finished
        self._awaited = set(self._proposals.at_work)
        self._board.call("expect", sorted(self._awaited))
        return None

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
        self._heard[number] = Verdict(**{field: result[field] for field in Verdict._fields})
        self._awaited.discard(number)
        if not self._awaited:
            self._proposals.pass_on(self._heard)
            self._heard.clear()

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: a search that is begun again finds its measurements in the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""
