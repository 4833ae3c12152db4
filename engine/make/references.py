"""What of the store a study refers to, as its folder notes it."""

from collections.abc import Mapping
from typing import Any

from engine.fingerprint import Plain
from engine.plan.names import run_key
from engine.plan.plan import Plan
from engine.status.survey import Survey
from engine.store.references import reference_file
from engine.store.seal import seal_document
from engine.store.store import Store


def write_references(now: Survey, store: Store) -> dict[str, Any]:
    """Note what of the store a study refers to, for ``textmill clean`` and ``textmill plan``.

    What it referred to before, under other settings, stays noted: only removing the study's folder
    lets go of anything.

    Returns:
        What was noted before. It is read anew each time: other commands note things, too.
    """
    plan = now.plan
    before = _references(plan, store)
    runs = _runs_before(now, before)
    for ready in now.ready:
        runs |= {run_key(ready.cell, run.repeat): run.name for run in ready.runs}
    models = {run.model_folder for ready in now.ready for run in ready.runs}
    steps = {
        *(rows.name for rows in plan.inputs()),
        *(pool.folder for pool in plan.pools),
        *(listed.file for listed in plan.topic_pools),
        *(view.folder for view in plan.views),
        *runs.values(),
        *(examination.name for examination in now.examinations),
        *(
            folder
            for folder in models
            if plan.file.study.resources.keep_models or store.names(folder)
        ),
    }
    kept = sorted(steps | set(before.get("kept", [])))
    name = plan.file.study.name
    body: dict[str, Plain] = {"kind": "study", "name": name, "kept": kept, "runs": {**runs}}
    store.publish(reference_file(name), seal_document(body))
    return before


def _references(plan: Plan, store: Store) -> dict[str, Any]:
    name = reference_file(plan.file.study.name)
    return store.document(name) if store.has(name) else {}


def _runs_before(now: Survey, before: Mapping[str, Any]) -> dict[str, str]:
    """Return the runs that stood for the cells which are waiting for their rows now."""
    repeats = now.plan.repeats
    keys = {run_key(cell, repeat) for cell in now.waiting for repeat in range(repeats(cell))}
    return {key: run for key, run in before.get("runs", {}).items() if key in keys}
