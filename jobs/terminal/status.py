"""What ``textmill status`` prints."""

import json as jsonlib
from collections import Counter
from collections.abc import Sequence

from engine.errors import DamagedError
from engine.plan.names import view_name
from engine.plan.plan import Plan
from engine.status.files import all_files, damaged_files
from engine.status.steps import StepKind, steps
from engine.status.survey import survey
from engine.store.kinds import Kind, kind_of
from engine.store.store import Store
from jobs.terminal.plan import other_lines

PLURALS = {"topics": "topic lists", "diagnosis": "diagnoses"}


def status(plan: Plan, store: Store, *, json: bool, verify: bool) -> tuple[str, bool]:
    """Return how far a study is, and whether all of its files that were checked are sound."""
    if verify and (damaged := list(damaged_files(all_files(plan, store), store))):
        return _damage_text(damaged, json), False
    now = survey(plan, store)
    planned_steps = steps(now)
    counts = {
        kind: Counter(step.state for step in planned_steps if step.kind == kind)
        for kind in _kinds(plan)
    }
    if json:
        whole = {"study": plan.file.study.name, "counts": counts, "damaged": []}
        return jsonlib.dumps(whole, indent=1), True
    lines = [f"{plan.file.study.name} in {store.root}"]
    for kind, states in counts.items():
        states_shown = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
        lines.append(f"  {PLURALS.get(kind, kind + 's')}: {states_shown}")
    for view in plan.views:
        accepted = "; ".join(
            f"{standing.tally.accepted} {label!r} ({standing.quota} wanted)"
            for label, standing in now.standings[view.fingerprint].items()
        )
        lines.append(f"  accepted, {view_name(plan, view)}: {accepted}")
    lines += [f"  {line}" for line in other_lines(planned_steps)]
    if verify:
        lines.append("  every file agrees with its checksum, and holds what it is called by")
    return "\n".join(lines), True


def _kinds(plan: Plan) -> list[StepKind]:
    """Return the kinds of steps that a plan has."""
    topics: list[StepKind] = ["topics"] if plan.topic_pools else []
    baselines: list[StepKind] = ["baseline"] if plan.baselines else []
    diagnoses: list[StepKind] = ["diagnosis"] if plan.encoder else []
    return [*topics, "pool", *baselines, "view", "run", *diagnoses]


def _damage_text(damaged: Sequence[DamagedError], json: bool) -> str:
    if json:
        return jsonlib.dumps({"damaged": [damage.name for damage in damaged]}, indent=1)
    advice = "`textmill run`, or `search`, sets them aside and makes them again"
    has_model = any(kind_of(damage.name) is Kind.MODEL for damage in damaged)
    advice += "; classifiers with resources.keep_models = true." if has_model else "."
    return "\n".join([*(f"damaged: {damage.name} ({damage.why})" for damage in damaged), advice])
