"""What stopping trials early saves a search, and what it costs: the same trials, all to the end."""

import json as jsonlib
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.errors import DataError
from engine.make.progress import Watch
from engine.search.report.findings import fates, took, winner
from engine.search.report.findings import test_score as on_test
from engine.search.search import SearchResult, search_study
from engine.search.trial_book import Measured, Trial
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.study import StudyFile
from jobs.bench.machine import machine
from jobs.terminal.screen import Screen


def bench_stopping(study: Path, overrides: list[str], root: str | None, json: bool) -> str:
    """Do a search, then measure each of its trials at the last rung alone, and compare.

    Args:
        study: The search's study file.
        overrides: ``--set`` flags.
        root: Where its rows are kept; if None they are not.
        json: Whether figures are returned as JSON.
    """
    with ExitStack() as stack:
        root = root or stack.enter_context(tempfile.TemporaryDirectory())
        screen = stack.enter_context(Screen.of_stderr())
        figures = _measured(load_study(study, overrides), Store.open(root), screen)
    if json:
        return jsonlib.dumps(figures, indent=1)
    return "\n".join(f"{name:<24} {value}" for name, value in figures.items())


def _measured(file: StudyFile, store: Store, watch: Watch) -> dict[str, Any]:
    began = time.monotonic()
    stopped = search_study(file, store, watch)
    middle = time.monotonic()
    whole = search_study(_to_the_end(stopped), store, watch)
    early, most = took(stopped), took(whole)
    best, (trial, measured) = _winner(stopped), _winner(whole)
    return {
        "trials": early.trials,
        "measured_at_rungs": {rows: counts["measured"] for rows, counts in fates(stopped)},
        "search_s": round(middle - began),
        "whole_s_what_was_left": round(time.monotonic() - middle),
        "tokens": round(early.tokens),
        "tokens_whole": round(most.tokens),
        "tokens_share": round(early.tokens / most.tokens, 3) if most.tokens else None,
        "rows_generated_share": round(early.generated / most.generated, 3),
        "rows_trained_share": round(early.trained / most.trained, 3),
        "winner": best[0].number,
        "winner_validation": _points(best[1].score),
        "winner_test": _points(on_test(best[1]).value),
        "best_of_all": _number(stopped, trial),
        "best_of_all_validation": _points(measured.score),
        "best_of_all_test": _points(on_test(measured).value),
        "machine": machine(),
    }


def _to_the_end(result: SearchResult) -> StudyFile:
    """Return the study of the same trials, each measured at the last rung alone."""
    study = result.file.study
    changes = {
        "rungs": result.space.rungs[-1:],
        "stopping": "none",
        "sampler": "random",
        "start_from": [trial.point for trial in result.trials.values()],
        "max_trials": len(result.trials),
        "max_tokens": None,
        "max_hours": None,
    }
    search = study.search.model_copy(update=changes)
    whole = study.model_copy(update={"name": f"{study.name}-whole", "search": search})
    return StudyFile(whole, result.file.tasks, result.file.path)


def _winner(result: SearchResult) -> tuple[Trial, Measured]:
    best = winner(result)
    if best is None:
        raise DataError(f"The search {result.file.study.name!r} came to nothing.")
    return best


def _number(result: SearchResult, trial: Trial) -> int:
    """Return what number a trial of the same point has in the search."""
    return next(twin.number for twin in result.trials.values() if twin.point == trial.point)


def _points(score: float) -> float:
    return round(100 * score, 1)
