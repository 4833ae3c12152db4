"""What a large study costs beside its engines: planning, memory, hand-outs, tails, files."""

import json as jsonlib
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.make.fill import fill_views
from engine.make.make import prepare
from engine.make.progress import Progress
from engine.make.work import Work
from engine.nodes.session import ray_session
from engine.plan.plan import Plan, make_plan
from engine.status.spent import taken
from engine.status.steps import steps
from engine.status.survey import survey
from engine.store.segments import Segment
from engine.store.store import Store
from engine.study.load import load_study
from jobs.bench.curate import STUDY, TASK
from jobs.bench.machine import machine, peak_mib

RECIPES = 10
AMOUNTS = 20  # of rows, for each recipe; learning rates make up the rest of the conditions
REPEATS = 5


def bench_scale(rows: int, conditions: int, replicas: int, tokens_per_s: float, json: bool) -> str:
    """Plan and generate a large ablation with engines that take a GPU's time and no GPU.

    Args:
        rows: Rows to make, of all recipes together.
        conditions: Conditions of the study, about.
        replicas: Engines.
        tokens_per_s: Completion tokens per second of each.
        json: Whether figures are returned as JSON.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = _measured(Path(folder), rows, conditions, replicas, tokens_per_s)
    return jsonlib.dumps(figures, indent=1) if json else _lines(figures)


def _measured(
    folder: Path, rows: int, conditions: int, replicas: int, tokens_per_s: float
) -> dict[str, Any]:
    began = time.monotonic()
    plan = _plan(folder, rows, conditions, replicas, tokens_per_s)
    store = Store.open(f"{folder}/root")
    runs = sum(step.kind == "run" for step in steps(survey(plan, store)))
    plan_s = time.monotonic() - began
    prepare(plan, store)
    pace = _Pace()
    with ray_session():
        started = time.monotonic()
        fill_views(Work(plan, store, pace.note), survey(plan, store))
        seconds = time.monotonic() - started
    # once more, now that all of it is there: what every later command begins with
    looked = time.monotonic()
    steps(survey(plan, store))
    looked_s = time.monotonic() - looked
    generated = sum(segment.stop - segment.start for segment in _segments(plan, store))
    tokens = taken(plan.pools, store).tokens
    ideal_s = tokens / (replicas * tokens_per_s)
    at_once = replicas * plan.file.study.resources.max_num_seqs
    return {
        "conditions": len(plan.conditions),
        "runs": runs,
        "rows": generated,
        "tokens": tokens,
        "plan_s": round(plan_s, 2),
        "plan_when_made_s": round(looked_s, 2),
        "seconds": round(seconds, 1),
        "ideal_s": round(ideal_s, 1),
        "overhead": round(seconds / ideal_s - 1, 3),
        "tail_s": round(pace.tail_s(generated, at_once, generated / ideal_s), 1),
        "rows_per_s": round(generated / seconds),
        "files": sum(entry.is_file for entry in store.entries(".")),
        "driver_peak_mib": round(peak_mib()),
        "replicas": replicas,
        "tokens_per_s": tokens_per_s,
        "machine": machine(),
    }


class _Pace:
    """When how many rows were there."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []

    def note(self, progress: Progress) -> None:
        """Take note of progress."""
        if progress.stage == "generate":
            self._seen.append((time.monotonic(), progress.done))

    def tail_s(self, rows: float, at_once: int, rows_per_s: float) -> float:
        """Return what the end took beyond its share: engines wait there for the longest answers.

        Args:
            rows: Rows in all.
            at_once: Rows that all engines together answer at a time.
            rows_per_s: Rows per second while they are full.
        """
        end = self._seen[-1][0]
        since, remaining = next(
            (when, rows - done) for when, done in self._seen if rows - done <= at_once
        )
        return max(0.0, end - since - remaining / rows_per_s)


def _segments(plan: Plan, store: Store) -> list[Segment]:
    slots = [segments for pool in plan.pools for segments in pool.segments(store).values()]
    return [segment for segments in slots for segment in segments]


def _plan(folder: Path, rows: int, conditions: int, replicas: int, tokens_per_s: float) -> Plan:
    gold = [{"label": label, "text": f"a {label} place"} for label in ("bad", "good")]
    (folder / "gold.jsonl").write_text("\n".join(map(jsonlib.dumps, gold)), encoding="utf-8")
    (folder / "task.toml").write_text(TASK, encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    most = rows // RECIPES
    rates = max(1, conditions // (RECIPES * AMOUNTS))
    amounts = [most * number // AMOUNTS for number in range(1, AMOUNTS + 1)]
    temperatures = [round(0.1 * number, 1) for number in range(1, RECIPES + 1)]
    changes = [
        'generate.engine="jobs.bench.delay_engine:DelayEngine"',
        f"generate.engine_args={{tokens_per_s = {tokens_per_s}}}",
        f"factors.temperature={temperatures}",
        f"factors.quantity={amounts}",
        f'factors."train.learning_rate"={[1e-5 * number for number in range(1, rates + 1)]}',
        f"repeats={REPEATS}",
        f"resources.replicas={replicas}",
        f"resources.engine_cpus={min(0.5, 1 / replicas)}",
    ]
    return make_plan(load_study(folder / "study.toml", changes))


def _lines(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name:<18} {value}" for name, value in figures.items())
