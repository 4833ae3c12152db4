"""What the parts of a study are called, by its factors' levels: in messages, plans and reports."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.fingerprint import Plain, canonical, digest
from engine.generate.engine import engine_class
from engine.plan.cell import Cell
from engine.plan.plan import Plan
from engine.steps.baseline import Baseline
from engine.steps.pool import Pool
from engine.steps.topics import TopicPool
from engine.steps.view import View


def view_name(plan: Plan, view: View) -> str:
    """Return what tells a view from the study's others: its factor levels, and its replicate.

    One that another is made from is called by the levels of those that come from it, and by what it
    is to them.
    """
    cells = plan.cells_of[view.fingerprint]
    is_own = any(cell.mix.view is view for cell in cells)
    shared = {
        name: level
        for name, level in cells[0].condition.levels.items()
        if name not in ("quantity", "real")
        and level is not None
        and all(cell.condition.levels[name] == level for cell in cells)
    }
    parts = [f"{name} {level}" for name, level in shared.items()]
    if plan.file.study.replicates > 1:
        parts.append(f"replicate {view.pool.replicate}")
    if not is_own:
        parts.append("first call" if view.pool.call == "first" else "before it is rephrased")
    return ", ".join(parts) or view.pool.label


def pool_name(plan: Plan, pool: Pool) -> str:
    """Return what tells a pool from the study's others: its views' names, or its baseline's."""
    if isinstance(pool, Baseline):
        return f"the LLM itself, {baseline_names(plan.baselines)[pool.fingerprint]}"
    if isinstance(pool, TopicPool):
        draw = f", replicate {pool.replicate}" if plan.file.study.replicates > 1 else ""
        return f"a list of {pool.task.wording.topics}{draw}"
    return ", ".join(view_name(plan, view) for view in plan.views if view.pool is pool)


def cell_name(cell: Cell) -> str:
    """Return a cell's levels in words, without its replicate."""
    mix = cell.condition.mix
    levels = {**cell.condition.levels, "quantity": mix.quantity, "real": mix.real}
    return ", ".join(f"{name} {level}" for name, level in levels.items() if level is not None)


def run_key(cell: Cell, repeat: int) -> str:
    """Return what a run is called in a study, whatever its content is."""
    return f"{cell_name(cell)}, replicate {cell.replicate}, repeat {repeat}"


ASKED = ("model", "revision", "adapter", "engine", "engine_args")  # what tells LLMs apart


def baseline_names(baselines: Sequence[Baseline]) -> dict[str, str]:
    """Return what tells a study's baselines apart, by fingerprint: LLM, shots, replicate."""
    llms = llm_names(baselines)
    is_one = len(set(llms.values())) == 1
    has_draws = len({baseline.replicate for baseline in baselines}) > 1
    has_tasks = len({baseline.task.name for baseline in baselines}) > 1
    return {
        baseline.fingerprint: ", ".join(
            [
                *([baseline.task.name] if has_tasks else []),
                *([] if is_one else [llms[baseline.fingerprint]]),
                f"{baseline.shots} shot{'' if baseline.shots == 1 else 's'}",
                *([f"replicate {baseline.replicate}"] if has_draws and baseline.shots else []),
            ]
        )
        for baseline in baselines
    }


def llm_names(baselines: Sequence[Baseline]) -> dict[str, str]:
    """Return the LLM that each baseline asks, by fingerprint, with what tells it from the others.

    Models in folders are called by the folder's name alone: a report says nothing of its machine.
    """
    asked = {baseline.fingerprint: _identified(baseline) for baseline in baselines}
    varied = [
        name
        for name in ASKED
        if len({canonical(identity[name]) for identity in asked.values()}) > 1
    ]
    names = {
        fingerprint: ", ".join(
            [
                str(identity["model"] or identity["engine"]),
                *(f"{name} {_brief(identity[name])}" for name in varied if name != "model"),
            ]
        )
        for fingerprint, identity in asked.items()
    }
    contents = {baseline.fingerprint: _content(baseline) for baseline in baselines}
    known = {(names[fingerprint], content) for fingerprint, content in contents.items()}
    shared = Counter(name for name, _ in known)
    return {
        fingerprint: f"{name} {contents[fingerprint][:6]}" if shared[name] > 1 else name
        for fingerprint, name in names.items()
    }


def _content(baseline: Baseline) -> str:
    """Return a digest of the model and adapter themselves: folders may be called alike."""
    return digest([baseline.inputs["model"], baseline.inputs.get("adapter")])


def _identified(baseline: Baseline) -> dict[str, Any]:
    """Return what an LLM is known by; what its engine does not read is None."""
    reads = {"engine", *engine_class(baseline.config.engine).reads}
    identity: dict[str, Any] = {
        name: value if name in reads else None for name, value in baseline.config if name in ASKED
    }
    for name in ("model", "adapter"):
        if identity[name] and Path(identity[name]).is_absolute():
            identity[name] = Path(identity[name]).name
    return identity


def _brief(value: Plain) -> str:
    return value if isinstance(value, str) else canonical(value).decode()
