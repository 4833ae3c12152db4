"""What ``textmill plan`` says: each step, whether it is there, and why not."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from engine.fingerprint import Plain
from engine.plan.cell import Cell
from engine.plan.names import pool_name, run_key, view_name
from engine.plan.plan import Plan
from engine.status.before import Before
from engine.status.forecast import Forecast
from engine.status.quotas import Standing
from engine.status.spent import HOUR_S
from engine.status.survey import Ready, Survey
from engine.status.versions import Other
from engine.status.wants import wants
from engine.steps.baseline import Baseline
from engine.steps.pool import Pool, Want
from engine.steps.run import Run
from engine.steps.topics import TopicPool
from engine.steps.view import View, is_current
from engine.store.segments import Segment, unbroken

StepKind = Literal["topics", "pool", "baseline", "view", "run", "diagnosis"]
State = Literal["made", "partly", "missing", "waiting", "given up"]
MADE_OF_ROWS: tuple[StepKind, ...] = ("topics", "pool", "baseline")  # of rows that engines make


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a plan.

    Attributes:
        kind: "topics" (the pool of a list), "pool", "baseline" (the pool of one), "view", "run" or
            "diagnosis" (of a view).
        name: What it is called in the study.
        place: Its folder or file in the root; None where its rows are not known yet.
        fingerprint: Its identity; None as above.
        inputs: Fingerprints or contents that it reads, by role.
        state: "made" and reused, "partly" made, "missing", "waiting" for rows that are to be made
            first, or "given up".
        why: Why it is in that state.
        rows: Rows that are there (a pool's, a view's), or rows to train on or look at.
        to_make: Rows that are to be made for it now, as far as can be told.
        other: What is there in its place under another VERSION, and is not used.
    """

    kind: StepKind
    name: str
    place: str | None = None
    fingerprint: str | None = None
    inputs: Mapping[str, Plain]
    state: State
    why: str
    rows: int = 0
    to_make: int = 0
    other: Other | None = None


def steps(now: Survey) -> list[Step]:
    """Return every step of a plan with its state; reads the store, changes nothing.

    Raises:
        DamagedError: A file that it had to read is damaged.
    """
    plan, missing, before = now.plan, wants(now), Before(now)
    return [
        *(_pool_step(now, pool, missing, before) for pool in plan.pools),
        *(_view_step(now, view, before) for view in plan.views),
        *_run_steps(now, before),
        *(_diagnosis_step(now, view) for view in plan.views if plan.encoder),
    ]


def rows_to_make(planned: Iterable[Step]) -> int:
    """Return how many rows engines are to make, as far as can be told."""
    return sum(step.to_make for step in planned if step.kind in MADE_OF_ROWS)


def as_json(plan: Plan, planned: Sequence[Step], ahead: Forecast) -> str:
    """Return a plan's steps and forecast as JSON."""
    counts: dict[str, dict[str, int]] = {}
    for step in planned:
        states = counts.setdefault(step.kind, {})
        states[step.state] = states.get(step.state, 0) + 1
    whole = {
        "study": plan.file.study.name,
        "tasks": list(plan.file.tasks),
        "conditions": len(plan.conditions),
        "counts": counts,
        "rows_to_make": rows_to_make(planned),
        "forecast": {
            "rows": ahead.rows,
            "prompt_tokens": round(ahead.more.prompt_tokens),
            "completion_tokens": round(ahead.more.tokens),
            "engine_hours": round(ahead.more.engine_s / HOUR_S, 4),
            "hours": round(ahead.hours, 4),
            "cost": ahead.more.cost(plan.file.study.budget),
            "unknown": ahead.unknown,
            "unknown_at_most": {
                "prompt_tokens": round(ahead.most.prompt_tokens),
                "completion_tokens": round(ahead.most.tokens),
            },
        },
        "steps": [asdict(step) for step in planned],
    }
    return json.dumps(whole, indent=1)


def _pool_step(now: Survey, pool: Pool, missing: Sequence[Want], before: Before) -> Step:
    rows = sum(_rows(segments) for segments in pool.segments(now.seen).values())
    to_make = sum(want.rows for want in missing if want.pool is pool)
    kind: StepKind = "pool"
    if isinstance(pool, Baseline | TopicPool):
        kind = "baseline" if isinstance(pool, Baseline) else "topics"
    if kind != "pool" and rows:
        why = f"{rows} rows are reused" + (f", {to_make} are still to be asked" if to_make else "")
    elif rows and to_make:
        why = f"{rows} rows are reused, about {to_make} more are needed for the quotas"
    elif rows:
        why = "its rows are enough for the quotas, as far as can be told"
    else:
        why = before.why("pools", pool.recipe())
    return Step(
        kind=kind,
        name=pool_name(now.plan, pool),
        place=pool.folder,
        fingerprint=pool.fingerprint,
        inputs=pool.inputs,
        state="made" if not to_make else "partly" if rows else "missing",
        why=why,
        rows=rows,
        to_make=to_make,
        other=None if rows else before.other("pools", pool.recipe()),
    )


def _view_step(now: Survey, view: View, before: Before) -> Step:
    labels = now.standings[view.fingerprint]
    rows = sum(standing.tally.rows for standing in labels.values())
    pool_rows = sum(_rows(segments) for segments in view.pool.segments(now.seen).values())
    to_judge = max(0, pool_rows - rows)
    is_judged = all(is_current(now.seen, view, slot) for slot in view.pool.slots)
    is_wanting = any(standing.state == "wanting" for standing in labels.values())
    state: State = "partly" if rows else "missing"
    if to_judge or not is_judged:
        why = f"{to_judge} rows of its pool are to be judged"
    elif is_wanting:
        why = "its pool is to be extended"
        if parent := view.pool.parent:
            why += f", from {view_name(now.plan, now.plan.ancestors[parent.fingerprint])!r}"
    else:
        state, why = "made", _shortfall(labels)
    if not rows:
        why = f"{before.why('views', view.recipe())}; {why}"
    return Step(
        kind="view",
        name=view_name(now.plan, view),
        place=view.folder,
        fingerprint=view.fingerprint,
        inputs=view.inputs,
        state=state,
        why=why,
        rows=rows,
        to_make=to_judge,
        other=None if rows else before.other("views", view.recipe()),
    )


def _shortfall(labels: Mapping[str, Standing]) -> str:
    lacking = {label: standing for label, standing in labels.items() if standing.state != "enough"}
    if not lacking:
        return "every quota is met"
    return "; ".join(
        f"{standing.state}: {standing.tally.accepted} of {standing.quota} rows "
        f"of {label!r} accepted"
        for label, standing in lacking.items()
    )


def _run_steps(now: Survey, before: Before) -> Iterator[Step]:
    for ready in now.ready:
        for run in ready.runs:
            yield _run_step(ready, run, run.name in now.finished, before)
    names = {view.fingerprint: view_name(now.plan, view) for view in now.plan.views}
    for cell in now.waiting:
        name = names[cell.mix.view.fingerprint] if cell.mix.view else ""
        yield from _unready(now.plan, cell, "waiting", f"for rows of the view {name!r}")
    for cell, reason in now.given_up:
        yield from _unready(now.plan, cell, "given up", reason)


def _run_step(ready: Ready, run: Run, is_made: bool, before: Before) -> Step:
    key = run_key(ready.cell, run.repeat)
    return Step(
        kind="run",
        name=key,
        place=run.name,
        fingerprint=run.fingerprint,
        inputs=run.inputs,
        state="made" if is_made else "missing",
        why="reused" if is_made else before.why_run(key, run),
        rows=ready.rows.rows,
        other=None if is_made else before.other_run(key),
    )


def _unready(plan: Plan, cell: Cell, state: State, why: str) -> Iterator[Step]:
    inputs = {"view": cell.mix.view.fingerprint} if cell.mix.view else {}
    for repeat in range(plan.repeats(cell)):
        yield Step(kind="run", name=run_key(cell, repeat), inputs=inputs, state=state, why=why)


def _diagnosis_step(now: Survey, view: View) -> Step:
    name = view_name(now.plan, view)
    for examination in now.examinations:
        if examination.view is view:
            is_made = examination.name in now.finished
            return Step(
                kind="diagnosis",
                name=name,
                place=examination.name,
                fingerprint=examination.fingerprint,
                inputs=examination.inputs,
                state="made" if is_made else "missing",
                why="reused" if is_made else "not made yet",
                rows=examination.rows,
            )
    is_waiting = any(cell.mix.view is view for cell in now.waiting)
    return Step(
        kind="diagnosis",
        name=name,
        inputs={"view": view.fingerprint},
        state="waiting" if is_waiting else "given up",
        why="for rows of the view" if is_waiting else "it has no rows",
    )


def _rows(segments: Sequence[Segment]) -> int:
    whole = unbroken(segments)
    return whole[-1].stop if whole else 0
