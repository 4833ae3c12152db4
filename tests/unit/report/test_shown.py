"""A study's pages are written again when they would show something else, and only then."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from engine.findings.findings import Diagnosis, Findings, TaskFacts
from engine.report import shown
from engine.report.brief import brief
from engine.report.write import update_report, write_report
from engine.store.seal import seal_document
from engine.store.store import Store
from engine.study.published.reading import builtin_published, load_published
from engine.study.resources import Annotation
from jobs.terminal.findings import show_findings

TOOK = {"run": "runs/a", "took": (1.0, 2.0, None)}
FOUND = Findings(
    name="x", tasks={"t": TaskFacts(["a", "b"], {"test": 3})}, factors=[], results=[], sources=[],
    repeats=1, replicates=1, runs=1, problems=["short"], settings={}, recipe={}, caveat="",
    drawless=[], encoder="e", gold={"t": [0, 1, 1]}, predicted={"runs/a": np.array([0, 1, 0])},
    diagnostics=[Diagnosis("few", "t", "few_shot_3", False, 0, 500, 0.6, 0.5, 20)],
)  # fmt: skip
# what else each field could say
OTHERS = {
    "name": "y", "tasks": {"t": TaskFacts(["b", "a"], {"test": 3})}, "factors": ["real"],
    "results": [TOOK], "sources": [("few",)], "repeats": 2, "replicates": 2, "runs": 2,
    "problems": [], "settings": {"steps": 5}, "recipe": {"model": "m"}, "caveat": "a toy",
    "drawless": ["head"], "baselines": [{"task": "t"}], "diagnostics": [], "encoder": "f",
    "metric": "macro_f1", "gold": {"t": [0, 1, 0]}, "predicted": {"runs/a": np.array([0, 1, 1])},
    "annotation": Annotation(price_row=1.0), "is_replayed": True,
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path))


def written(store):
    """Return when each file of the study's folder was written."""
    paths = Path(store.root, FOUND.folder).rglob("*")
    return {path.name: path.stat().st_mtime_ns for path in paths if path.is_file()}


def test_what_is_shown_already_is_left_alone(store):
    update_report(FOUND, store)
    before = written(store)
    assert len(before) > 5
    update_report(replace(FOUND), store)
    assert written(store) == before
    write_report(FOUND, store)  # as `textmill report` does
    assert all(written(store)[name] != time for name, time in before.items())


@pytest.mark.parametrize("name", [field.name for field in fields(Findings)])
def test_a_study_that_found_anything_else_is_shown_anew(store, name):
    shown.Pages(FOUND, store).note("as it was")
    assert shown.shown_brief(FOUND, store) == "as it was"
    if name == "published":
        known = builtin_published()
        other = load_published(next(iter(known)), next(iter(known.values())).parent)
    else:
        other = OTHERS[name]
    assert shown.shown_brief(replace(FOUND, **{name: other}), store) is None


def test_one_score_that_changes_is_enough(store):
    score = {"accuracy": 0.5, "took": (1.0, float("nan"), None)}
    shown.Pages(replace(FOUND, results=[score]), store).note("")
    assert shown.shown_brief(replace(FOUND, results=[dict(score)]), store) == ""
    changed = [score | {"accuracy": np.float64(0.5000001)}]
    assert shown.shown_brief(replace(FOUND, results=changed), store) is None


@pytest.mark.parametrize("way", ["gone", "altered"])
@pytest.mark.parametrize("file", ["report.html", "results.parquet", "shown.json"])
def test_a_file_that_is_gone_or_altered_is_written_again(store, file, way):
    update_report(FOUND, store)
    name = f"{FOUND.folder}/{file}"
    sound = store.sha256(name)
    store.remove(name)
    if way == "altered":
        store.publish(name, b"{}")
    update_report(FOUND, store)
    assert store.sha256(name) == sound


def test_what_another_textmill_noted_is_written_over(store):
    update_report(FOUND, store)
    name = f"{FOUND.folder}/shown.json"
    sound = store.sha256(name)
    store.publish(name, seal_document({"kind": "report", "shows": 7}))
    update_report(FOUND, store)
    assert store.sha256(name) == sound


@pytest.mark.parametrize(
    ("name", "other"), [("REPORT_VERSION", 0), ("version", lambda library: f"{library} 0")]
)
def test_another_version_of_the_report_or_a_library_writes_it_anew(store, monkeypatch, name, other):
    update_report(FOUND, store)
    before = written(store)
    monkeypatch.setattr(shown, name, other)
    update_report(FOUND, store)
    assert all(written(store)[name] != time for name, time in before.items())


def test_the_terminal_is_told_the_same_whether_it_was_worked_out_before_or_not(store):
    fresh = show_findings(FOUND, store)
    assert fresh.startswith(brief(FOUND, [], []))
    write_report(FOUND, store)
    assert show_findings(FOUND, store) == fresh


def test_what_has_no_stable_form_is_refused(store):
    with pytest.raises(TypeError, match="a report cannot follow from a set"):
        shown.Pages(replace(FOUND, problems={"a"}), store).note("")
