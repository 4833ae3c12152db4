"""What the commands print."""

import json as jsonlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill, indent

from engine.clean import orphans, remove
from engine.commits import CommitPoint, commit_point
from engine.errors import DamagedError
from engine.forecast import Forecast, forecast
from engine.names import view_name
from engine.plan import Plan, make_plan
from engine.prompts.phrases import listed
from engine.prompts.samples import sample_prompts
from engine.spending import in_words, taken
from engine.steps import Kind, Step, as_json, rows_to_make, steps
from engine.store import Store
from engine.study.load import load_study
from engine.survey import all_files, damaged_files, survey
from engine.tasks.task import builtin_tasks, load_task
from engine.versions import told

HOUR_S = 3600
FEW_TOPICS = 12  # how many are shown
WIDTH = 96  # characters of a line of them
PLURALS = {"topics": "topic lists", "diagnosis": "diagnoses"}


def tasks() -> str:
    """Return the built-in tasks, a line each."""
    found = {name: load_task(name, path.parent) for name, path in builtin_tasks().items()}
    width = max(map(len, found))
    lines = [
        f"{name:<{width}}  {len(one.labels)} labels: {listed(one.labels)}"
        for name, one in found.items()
    ]
    return "\n".join(lines) + "\n"


def task(name: str) -> str:
    """Return one task: labels, splits, fields, topics, and a prompt of each kind."""
    shown = load_task(name, Path.cwd())
    width = max(map(len, [*shown.labels, *shown.splits, *shown.fields]))
    lines = [shown.name, "", "labels"]
    lines += [f"  {label:<{width}}  {text}" for label, text in shown.labels.items()]
    lines += ["", "splits"]
    lines += [f"  {split:<{width}}  {source}" for split, source in shown.splits.items()]
    lines += ["", "fields"]
    lines += [f"  {field:<{width}}  shown as {called!r}" for field, called in shown.fields.items()]
    if shown.topics:
        more = len(shown.topics) - FEW_TOPICS
        told = ", ".join(shown.topics[:FEW_TOPICS]) + (f", and {more} more" if more > 0 else "")
        lines += ["", f"{len(shown.topics)} topics", indent(fill(told, WIDTH), "  ")]
    if shown.trivial_words:
        lines += ["", "words that give a label away", f"  {', '.join(shown.trivial_words)}"]
    label = next(iter(shown.labels))
    lines += ["", f"prompts, where a label is asked for: of {label!r}; <...> stands for a text"]
    for title, text in sample_prompts(shown, shots=(3, 5)):
        lines += ["", title, _indented(text)]
    return "\n".join(lines) + "\n"


def plan(
    path: Path, overrides: Sequence[str], root: str, *, json: bool, speed: float | None = None
) -> str:
    """Return a study's plan.

    Args:
        path: The study file.
        overrides: Settings in place of the file's.
        root: The root.
        json: Whether it is told in JSON.
        speed: Completion tokens per second of a replica, for recipes of which nothing is there yet.
    """
    store = Store.open(root)
    made = make_plan(load_study(path, overrides))
    found, ahead = steps(made, store), forecast(made, store)
    if json:
        return as_json(made, found, ahead)
    return "\n".join([_plan_text(made, found, store), *_forecast_lines(made, ahead, store, speed)])


def _forecast_lines(made: Plan, ahead: Forecast, store: Store, speed: float | None) -> list[str]:
    if not ahead.rows:
        return []
    budget = made.file.study.budget
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
            f"{ahead.most.tokens:,.0f} completion tokens{_at_speed(made, ahead, speed)}. "
            "`textmill plan --pilot` makes a few of each, which are kept, and forecasts by them."
        )
    limits = taken(made.pools, store, made.file.study.name).plus(ahead.more).against(budget)
    lines += [
        f"With what is spent already that is more than the budget's {name} of {limit:,g}."
        for name, (used, limit) in limits.items()
        if used > limit
    ]
    return lines


def _at_speed(made: Plan, ahead: Forecast, speed: float | None) -> str:
    if speed is None:
        return " (--speed tells the hours at so many tokens per second)"
    replicas = made.file.study.resources.replicas
    most = max(replicas) if isinstance(replicas, list) else replicas
    hours = ahead.most.tokens / speed / most / HOUR_S
    return f", {hours:,.2f} hours at {speed:,.0f} completion tokens per second of each replica"


def _plan_text(made: Plan, found: Sequence[Step], store: Store) -> str:
    study = made.file.study
    lines = [
        f"{study.name}: task {', '.join(made.file.tasks)}, {len(made.conditions)} conditions x "
        f"{study.replicates} replicates x {study.repeats} repeats, root {store.root}",
        "",
    ]
    titles = (
        ("topics", "Topics"),
        ("pool", "Pools"),
        ("baseline", "The LLM itself"),
        ("view", "Views"),
    )
    for kind, title in titles:
        own = [step for step in found if step.kind == kind]
        lines += [title] if own else []
        for step in own:
            lines += [f"  {step.state:<8} {step.name}  [{step.place}]", f"           {step.why}"]
    runs = [step for step in found if step.kind == "run"]
    states = Counter(step.state for step in runs)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    lines += ["", f"Runs: {len(runs)} ({counts})"]
    grouped = Counter((step.state, step.why) for step in runs if step.state != "made")
    lines += [f"  {count:>5} {state}: {why}" for (state, why), count in grouped.items()]
    to_make = rows_to_make(found)
    to_train = len(
        {step.place or step.name for step in runs if step.state in ("missing", "waiting")}
    )
    lines += _diagnosis_lines(found)
    lines += ["", *notes] if (notes := _other_lines(found)) else []
    lines += ["", f"To do: {to_make} rows to make, at most {to_train} runs to train."]
    return "\n".join(lines)


def _diagnosis_lines(found: Sequence[Step]) -> list[str]:
    lines = []
    for step in found:
        if step.kind == "diagnosis":
            place = f"  [{step.place}]" if step.place else ""
            lines += [f"  {step.state:<8} {step.name}{place}", f"           {step.why}"]
    return ["", "How alike the rows are", *lines] if lines else []


def status(
    path: Path, overrides: Sequence[str], root: str, *, json: bool, verify: bool
) -> tuple[str, bool]:
    """Return how far a study is, and whether all of its files that were checked are sound."""
    store = Store.open(root)
    made = make_plan(load_study(path, overrides))
    if verify and (damaged := list(damaged_files(all_files(made, store), store))):
        return _damage_text(damaged, json), False
    found = steps(made, store)
    counts = {
        kind: Counter(step.state for step in found if step.kind == kind) for kind in _kinds(made)
    }
    if json:
        whole = {"study": made.file.study.name, "counts": counts, "damaged": []}
        return jsonlib.dumps(whole, indent=1), True
    lines = [f"{made.file.study.name} in {store.root}"]
    for kind, states in counts.items():
        told = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
        lines.append(f"  {PLURALS.get(kind, kind + 's')}: {told}")
    outlooks = survey(made, store).outlooks
    for view in made.views:
        looks = outlooks[view.fingerprint]
        told = "; ".join(
            f"{look.tally.accepted} {label!r} ({look.quota} wanted)"
            for label, look in looks.items()
        )
        lines.append(f"  accepted, {view_name(made, view)}: {told}")
    lines += [f"  {line}" for line in _other_lines(found)]
    if verify:
        lines.append("  every file agrees with its checksum, and holds what it is called by")
    return "\n".join(lines), True


def _other_lines(found: Sequence[Step]) -> list[str]:
    return told(step.other for step in found if step.other)


def _kinds(made: Plan) -> list[Kind]:
    """Return the kinds of steps that a plan has."""
    topics: list[Kind] = ["topics"] if made.topic_pools else []
    baselines: list[Kind] = ["baseline"] if made.baselines else []
    diagnoses: list[Kind] = ["diagnosis"] if made.encoder else []
    return [*topics, "pool", *baselines, "view", "run", *diagnoses]


def _damage_text(damaged: Sequence[DamagedError], json: bool) -> str:
    if json:
        return jsonlib.dumps({"damaged": [one.name for one in damaged]}, indent=1)
    advice = "`textmill run`, or `search`, sets them aside and makes them again"
    has_model = any(commit_point(one.name) is CommitPoint.MODEL for one in damaged)
    advice += "; classifiers with resources.keep_models = true." if has_model else "."
    return "\n".join([*(f"damaged: {one.name} ({one.why})" for one in damaged), advice])


def clean(root: str, older_than_h: float, *, remove_them: bool) -> str:
    """Return what no study refers to, and remove it if told to."""
    store = Store.open(root)
    found = orphans(store)
    ahead = [orphan for orphan in found if orphan.age_s < 0] if older_than_h else []
    old = [one for one in found if one.age_s >= older_than_h * HOUR_S or not older_than_h]
    lines = [
        f"  {orphan.size / 1024:>10,.0f} KiB {orphan.age_s / HOUR_S:>10,.1f} h  {orphan.name}"
        for orphan in old
    ]
    size = sum(orphan.size for orphan in old)
    total = f"{len(old)} files and folders that no study refers to, {size:,} bytes"
    if remove_them:
        for orphan in old:
            remove(store, orphan)
        lines.append(f"Removed {total}.")
    else:
        lines.append(f"{total}." + (" Remove them with --yes." if old else ""))
    if ahead:
        lines.append(
            f"{len(ahead)} more bear a time that is still to come, so that their age is not known, "
            "and were left alone: a clock was set back, or another machine's is ahead. "
            "--older-than 0 takes them, too."
        )
    spared = len(found) - len(old) - len(ahead)
    if spared:
        lines.append(f"{spared} more were written in the last {older_than_h:g} h and left alone.")
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}".rstrip() for line in text.splitlines())
