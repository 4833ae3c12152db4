"""What the diagnoses of a study's views say, for its report."""

from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import DamagedError
from engine.findings.findings import Diagnosis
from engine.generate.engine import method_of
from engine.plan.plan import Plan
from engine.status.survey import Survey
from engine.steps.examination import Examination
from engine.steps.view import View
from engine.store.store import Store


def diagnoses(now: Survey, names: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Yield what is known of each view's rows, then of the real rows that they were set beside.

    Args:
        now: What is there of the study.
        names: What tells views apart, by fingerprint.

    Raises:
        DamagedError: A diagnosis is damaged.
    """
    real: dict[tuple[str, int], Diagnosis] = {}
    for examination in now.examinations:
        if examination.name in now.finished:
            view, body = examination.view, _body(examination, now.seen)
            method = method_of(view.pool.config)
            of_view = _diagnosis(view, names[view.fingerprint], method, body["synthetic"])
            yield of_view._replace(is_rephrased=view.pool.call == "rephrase")
            of_real = _diagnosis(view, _real_name(now.plan, view), None, body["real"])
            if of_real.rows:
                real.setdefault((of_real.task, of_real.replicate), of_real)
    yield from real.values()


def _body(examination: Examination, store: Store) -> dict[str, Any]:
    body = store.document(examination.name)
    if body["fingerprint"] != examination.fingerprint:
        raise DamagedError(examination.name, "it belongs to another diagnosis")
    return body


def _diagnosis(view: View, name: str, method: str | None, measured: Mapping[str, Any]) -> Diagnosis:
    return Diagnosis(
        name=name,
        task=view.pool.task.name,
        method=method,
        is_rephrased=False,
        replicate=view.pool.replicate,
        rows=measured["rows"],
        inter=measured["inter"],
        to_real=measured["to_real"],
        trivial=measured["trivial"],
    )


def _real_name(plan: Plan, view: View) -> str:
    draws = plan.file.study.replicates > 1
    return f"real rows, replicate {view.pool.replicate}" if draws else "real rows"
