"""What ``textmill plan`` says: each step, whether it is there, and why not."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine.fingerprint import SHORT, Plain
from engine.plan.cell import Cell
from engine.plan.names import pool_name, run_key, view_name
from engine.plan.plan import Plan
from engine.status.forecast import Forecast
from engine.status.quotas import Outlook
from engine.status.spent import HOUR_S
from engine.status.survey import Ready, Survey, survey
from engine.status.versions import Other, document, other_recipe, other_version, recipes
from engine.status.wants import wants
from engine.steps.baseline import Baseline
from engine.steps.identity import VERSIONS
from engine.steps.pool import Pool, Want
from engine.steps.run import Run
from engine.steps.topics import TopicPool
from engine.steps.view import View, is_current
from engine.store.references import reference_file
from engine.store.segments import unbroken
from engine.store.store import Store

Kind = Literal["topics", "pool", "baseline", "view", "run", "diagnosis"]


State = Literal["made", "partly", "missing", "waiting", "given up"]


SHOWN_DIFFERENCES = 3


MADE_OF_ROWS: tuple[Kind, ...] = ("topics", "pool", "baseline")  # of rows that engines make


@dataclass(frozen=True)
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

    kind: Kind
    name: str
    place: str | None
    fingerprint: str | None
    inputs: Mapping[str, Plain]
    state: State
    why: str
    rows: int
    to_make: int
    other: Other | None = None


def steps(plan: Plan, store: Store) -> list[Step]:
    """Return every step of a plan with its state; reads the store, changes nothing.

    Raises:
        DamagedError: A file that it had to read is damaged.
    """
    now, missing = survey(plan, store), wants(plan, store)
    known = _Known(plan, store)
    return [
        *(_pool_step(plan, store, pool, missing, known) for pool in plan.pools),
        *(_view_step(plan, store, view, now, known) for view in plan.views),
        *_run_steps(plan, now, known),
        *(_diagnosis_step(plan, view, now) for view in plan.views if plan.encoder),
    ]


def rows_to_make(found: Iterable[Step]) -> int:
    """Return how many rows engines are to make, as far as can be told."""
    return sum(step.to_make for step in found if step.kind in MADE_OF_ROWS)


def as_json(plan: Plan, found: Sequence[Step], ahead: Forecast) -> str:
    """Return a plan's steps and forecast as JSON."""
    counts: dict[str, dict[str, int]] = {}
    for step in found:
        states = counts.setdefault(step.kind, {})
        states[step.state] = states.get(step.state, 0) + 1
    whole = {
        "study": plan.file.study.name,
        "tasks": list(plan.file.tasks),
        "conditions": len(plan.conditions),
        "counts": counts,
        "rows_to_make": rows_to_make(found),
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
        "steps": [asdict(step) for step in found],
    }
    return json.dumps(whole, indent=1)


def _pool_step(
    plan: Plan, store: Store, pool: Pool, missing: Sequence[Want], known: "_Known"
) -> Step:
    there = {slot: _rows(found) for slot, found in pool.segments(store).items()}
    rows, to_make = sum(there.values()), sum(want.rows for want in missing if want.pool is pool)
    state: State = "made" if not to_make else "partly" if rows else "missing"
    kind: Kind = "pool"
    if isinstance(pool, Baseline | TopicPool):
        kind = "baseline" if isinstance(pool, Baseline) else "topics"
    if kind != "pool" and rows:
        why = f"{rows} rows are reused" + (f", {to_make} are still to be asked" if to_make else "")
    elif rows and to_make:
        why = f"{rows} rows are reused, about {to_make} more are needed for the quotas"
    elif rows:
        why = "its rows are enough for the quotas, as far as can be told"
    else:
        why = known.why("pools", pool.recipe())
    name, folder, print_ = pool_name(plan, pool), pool.folder, pool.fingerprint
    other = None if rows else known.other("pools", pool.recipe())
    return Step(kind, name, folder, print_, pool.inputs, state, why, rows, to_make, other)


def _view_step(plan: Plan, store: Store, view: View, now: Survey, known: "_Known") -> Step:
    looks = now.outlooks[view.fingerprint]
    rows = sum(look.tally.rows for look in looks.values())
    pool_rows = sum(_rows(found) for found in view.pool.segments(store).values())
    standings = {look.standing for look in looks.values()}
    state: State = "partly" if rows else "missing"
    to_judge = max(0, pool_rows - rows)
    parent = view.pool.parent
    if to_judge or not all(is_current(store, view, slot) for slot in view.pool.slots):
        why = f"{to_judge} rows of its pool are to be judged"
    elif "wanting" in standings:
        source = view_name(plan, plan.ancestors[parent.fingerprint]) if parent else ""
        why = "its pool is to be extended" + (f", from {source!r}" if parent else "")
    else:
        state, why = "made", _standing(looks)
    if not rows:
        why = f"{known.why('views', view.recipe())}; {why}"
    name, folder, print_ = view_name(plan, view), view.folder, view.fingerprint
    other = None if rows else known.other("views", view.recipe())
    return Step("view", name, folder, print_, view.inputs, state, why, rows, to_judge, other)


def _standing(looks: Mapping[str, Outlook]) -> str:
    lacking = {label: look for label, look in looks.items() if look.standing != "enough"}
    if not lacking:
        return "every quota is met"
    return "; ".join(
        f"{look.standing}: {look.tally.accepted} of {look.quota} rows of {label!r} accepted"
        for label, look in lacking.items()
    )


def _run_steps(plan: Plan, now: Survey, known: "_Known") -> Iterator[Step]:
    for ready in now.ready:
        for run in ready.runs:
            yield _run_step(ready, run, run.name in now.made, known)
    names = {view.fingerprint: view_name(plan, view) for view in plan.views}
    for cell in now.waiting:
        name = names[cell.mix.view.fingerprint] if cell.mix.view else ""
        yield from _unready(plan, cell, "waiting", f"for rows of the view {name!r}")
    for cell, reason in now.given_up:
        yield from _unready(plan, cell, "given up", reason)


def _run_step(ready: Ready, run: Run, is_made: bool, known: "_Known") -> Step:
    key = run_key(ready.cell, run.repeat)
    state: State = "made" if is_made else "missing"
    why = "reused" if is_made else known.why_run(key, run)
    name, print_ = run.name, run.fingerprint
    other = None if is_made else known.other_run(key)
    return Step("run", key, name, print_, run.inputs, state, why, ready.rows.rows, 0, other)


def _unready(plan: Plan, cell: Cell, state: State, why: str) -> Iterator[Step]:
    inputs = {"view": cell.mix.view.fingerprint} if cell.mix.view else {}
    for repeat in range(plan.repeats(cell)):
        yield Step("run", run_key(cell, repeat), None, None, inputs, state, why, 0, 0)


def _diagnosis_step(plan: Plan, view: View, now: Survey) -> Step:
    name = view_name(plan, view)
    for one in now.examinations:
        if one.view is view:
            is_made = one.name in now.made
            state: State = "made" if is_made else "missing"
            why = "reused" if is_made else "not made yet"
            print_ = one.fingerprint
            return Step("diagnosis", name, one.name, print_, one.inputs, state, why, one.rows, 0)
    waits = any(cell.mix.view is view for cell in now.waiting)
    state, why = ("waiting", "for rows of the view") if waits else ("given up", "it has no rows")
    inputs = {"view": view.fingerprint}
    return Step("diagnosis", name, None, None, inputs, state, why, 0, 0)


def _rows(segments: Any) -> int:  # noqa: ANN401 - a list of Segment
    whole = unbroken(segments)
    return whole[-1].stop if whole else 0


class _Known:
    """What the store holds already, to say what sets a missing step apart from it."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._store = store
        self._recipes: dict[str, list[dict[str, Any]]] = {}
        references = document(reference_file(plan.file.study.name), store)
        self._runs: Mapping[str, str] = (references or {}).get("runs", {})

    def why(self, stage: str, recipe: Mapping[str, Any]) -> str:
        """Say how a recipe differs from the one most like it among those there."""
        if other := self.other(stage, recipe):
            return f"one of VERSION {other.version} is there, and {_written(other)}"
        differences = [
            _differences(one, recipe)
            for one in self._there(stage)
            if one["fingerprint"] != recipe["fingerprint"] and one["kind"] == recipe["kind"]
        ]
        if not differences:
            return "none was made yet"
        return f"the nearest there differs: {_shortened(min(differences, key=len))}"

    def other(self, stage: str, recipe: Mapping[str, Any]) -> Other | None:
        """Return what is there of a recipe under another VERSION."""
        return other_recipe(recipe, self._there(stage))

    def other_run(self, key: str) -> Other | None:
        """Return the same of the run that stood in a run's place."""
        body = self._before(key)
        return other_version(body) if body else None

    def _there(self, stage: str) -> list[dict[str, Any]]:
        if stage not in self._recipes:
            self._recipes[stage] = recipes(stage, self._store)
        return self._recipes[stage]

    def _before(self, key: str) -> dict[str, Any] | None:
        return document(self._runs[key], self._store) if key in self._runs else None

    def why_run(self, key: str, run: Run) -> str:
        """Say how a run differs from the one that stood in its place when the study last ran."""
        body = self._before(key)
        if body is None or self._runs[key] == run.name:
            return "not made yet"
        if other := other_version(body):
            return f"stale: made under VERSION {other.version}, and {_written(other)}"
        now = {"reads": dict(run.reads), "inputs": dict(run.inputs)}
        return "stale: made before this changed: " + _shortened(
            _differences({"reads": body["reads"], "inputs": body["inputs"]}, now)
        )


def _written(other: Other) -> str:
    return f"this textmill writes VERSION {VERSIONS[other.kind]}"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    names = [name for name in {**before, **after} if name not in ("kind", "fingerprint")]
    return [
        f"{name} {_brief(before.get(name))} -> {_brief(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    else:
        yield name.removeprefix("reads.").removeprefix("inputs."), value


def _brief(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, str) and len(value) == 64:
        return value[:SHORT]
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _shortened(differences: Sequence[str]) -> str:
    more = len(differences) - SHOWN_DIFFERENCES
    shown = "; ".join(differences[:SHOWN_DIFFERENCES]) or "nothing that it shows"
    return f"{shown}; and {more} more" if more > 0 else shown
