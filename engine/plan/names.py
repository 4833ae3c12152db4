"""What the parts of a study are called, by its factors' levels: in messages, plans and reports."""

from engine.baselines import baseline_names
from engine.curate.view import View
from engine.generate.baseline import Baseline
from engine.generate.pool import Pool
from engine.generate.topics import TopicPool
from engine.plan import Cell, Plan


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
