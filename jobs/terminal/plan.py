"""What ``textmill plan`` prints."""

from collections import Counter
from collections.abc import Sequence

from engine.plan.plan import Plan
from engine.status.forecast import Forecast, forecast
from engine.status.spent import in_words, taken
from engine.status.steps import Step, as_json, rows_to_make, steps
from engine.status.survey import Survey
from engine.status.versions import notices
from engine.store.store import Store

HOUR_S = 3600


def plan(now: Survey, *, json: bool, speed: float | None = None) -> str:
    """Return a study's plan.

    Args:
        now: What is there of the study.
        json: Whether it is told in JSON.
        speed: Completion tokens per second of a replica, for recipes of which nothing is there yet.
    """
    planned_steps, ahead = steps(now), forecast(now)
    if json:
        return as_json(now.plan, planned_steps, ahead)
    return "\n".join(
        [_plan_text(now.plan, planned_steps, now.seen), *_forecast_lines(now, ahead, speed)]
    )


def _forecast_lines(now: Survey, ahead: Forecast, speed: float | None) -> list[str]:
    if not ahead.rows:
        return []
    study_plan = now.plan
    budget = study_plan.file.study.budget
    lines = []
    if ahead.more.rows:
        lines.append(
            f"Forecast, by the rows that are there: {ahead.more.rows:,.0f} rows, "
            f"{in_words(ahead.more, budget)}; {ahead.hours:,.2f} hours at their "
            "speed (a pilot's few rows are slower than many)."
        )
    if ahead.unknown:
        names = "; ".join(ahead.unknown[:3]) + ("; ..." if len(ahead.unknown) > 3 else "")
        lines.append(
            f"Without any row yet: {len(ahead.unknown)} recipes ({names}): {ahead.most.rows:,.0f} "
            f"rows if all are accepted, about {ahead.most.prompt_tokens:,.0f} prompt and at most "
            f"{ahead.most.tokens:,.0f} completion tokens{_at_speed(study_plan, ahead, speed)}. "
            "`textmill plan --pilot` makes a few of each, which are kept, and forecasts by them."
        )
    limits = (
        taken(study_plan.pools, now.seen, study_plan.file.study.name)
        .plus(ahead.more)
        .against(budget)
    )
    lines += [
        f"With what is spent already that is more than the budget's {name} of {limit:,g}."
        for name, (used, limit) in limits.items()
        if used > limit
    ]
    return lines


def _at_speed(study_plan: Plan, ahead: Forecast, speed: float | None) -> str:
    if speed is None:
        return " (--speed tells the hours at so many tokens per second)"
    replicas = study_plan.file.study.resources.replicas
    most = max(replicas) if isinstance(replicas, list) else replicas
    hours = ahead.most.tokens / speed / most / HOUR_S
    return f", {hours:,.2f} hours at {speed:,.0f} completion tokens per second of each replica"


def _plan_text(study_plan: Plan, planned_steps: Sequence[Step], store: Store) -> str:
    study = study_plan.file.study
    lines = [
        f"{study.name}: task {', '.join(study_plan.file.tasks)}, {len(study_plan.conditions)} "
        f"conditions x {study.replicates} replicates x {study.repeats} repeats, root {store.root}",
        "",
    ]
    titles = (
        ("topics", "Topics"),
        ("pool", "Pools"),
        ("baseline", "The LLM itself"),
        ("view", "Views"),
    )
    for kind, title in titles:
        of_kind = [step for step in planned_steps if step.kind == kind]
        lines += [title] if of_kind else []
        for step in of_kind:
            lines += [f"  {step.state:<8} {step.name}  [{step.place}]", f"           {step.why}"]
    runs = [step for step in planned_steps if step.kind == "run"]
    states = Counter(step.state for step in runs)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    lines += ["", f"Runs: {len(runs)} ({counts})"]
    grouped = Counter((step.state, step.why) for step in runs if step.state != "made")
    lines += [f"  {count:>5} {state}: {why}" for (state, why), count in grouped.items()]
    to_make = rows_to_make(planned_steps)
    # conditions that come to the same training set and recipe share a run: it is trained once
    to_train = len(
        {step.place or step.name for step in runs if step.state in ("missing", "waiting")}
    )
    lines += _diagnosis_lines(planned_steps)
    lines += ["", *notes] if (notes := other_lines(planned_steps)) else []
    lines += ["", f"To do: {to_make} rows to make, at most {to_train} runs to train."]
    return "\n".join(lines)


def _diagnosis_lines(planned_steps: Sequence[Step]) -> list[str]:
    lines = []
    for step in planned_steps:
        if step.kind == "diagnosis":
            place = f"  [{step.place}]" if step.place else ""
            lines += [f"  {step.state:<8} {step.name}{place}", f"           {step.why}"]
    return ["", "How alike the rows are", *lines] if lines else []


def other_lines(planned_steps: Sequence[Step]) -> list[str]:
    """Return what is said of steps that are there under other VERSIONs."""
    return notices(step.other for step in planned_steps if step.other)
