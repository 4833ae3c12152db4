"""How alike a study's rows are, in whole studies."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from toy_study import make_toy, toy_rows

from engine.diagnose.examine import Examined, examine
from engine.embeddings import Embeddings
from engine.mix.training_set import ordered_rows
from engine.models import resolve_model
from engine.pipeline import run_study, write_results
from engine.plan.plan import make_plan
from engine.status.files import damaged_files, files_of
from engine.status.steps import steps
from engine.status.survey import survey
from engine.store.orphans import orphans
from engine.store.store import Store
from engine.study.load import load_study

STUDY = [
    "train.trainer=user_plugins:Guess",
    "factors.quantity=[0, 8, 24]",
    "factors.real=[5]",
    "repeats=1",
    "diagnose.model=./model",
    "diagnose.real=30",
]
WORDS = ["awful", "SUPERB", "visit 3004"]


def planned(folder, *overrides):
    return make_plan(load_study(folder / "study.toml", [*STUDY, *overrides]))


def snapshot(root):
    found = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path: path.read_bytes() for path in found}


def diagnosis_files(root):
    return [path for path in snapshot(root) if path.parent.name == "diagnoses"]


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_model):
    """A study with diagnoses that was run once: its folder, its findings, what was heard."""
    folder = make_toy(tmp_path_factory.mktemp("diagnosed"), tiny_model)
    task = (folder / "task.toml").read_text()
    (folder / "task.toml").write_text(f"trivial_words = {WORDS}\n{task}")
    heard = []
    findings = run_study(planned(folder), Store.open(str(folder / "root")), heard.append)
    return folder, findings, heard


@pytest.fixture
def copy(done, tmp_path):
    """A copy of that study."""
    shutil.copytree(done[0], tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


@pytest.fixture
def store(copy):
    return Store.open(str(copy / "root"))


def test_the_rows_that_the_largest_set_is_trained_on_are_looked_at(done, tiny_model, tmp_path):
    folder, findings, heard = done
    synthetic = [row["text"] for row in toy_rows(24, start=3000)]
    train = planned(folder).gold["toy"]["train"].table
    real = [row.text for row in ordered_rows(train, 0)[:30]]
    model = resolve_model(str(tiny_model), "main", "train.model")
    vectors = Embeddings(Store.open(str(tmp_path)), model, 128).vectors([*synthetic, *real])
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)

    view, of_real = findings.diagnostics
    assert (view.name, view.task, view.method) == ("toy-recorded", "toy", "recorded")
    assert (view.rows, view.replicate, view.is_rephrased) == (24, 0, False)
    off = ~np.eye(24, dtype=bool)
    assert view.inter == pytest.approx(cosines[:24, :24][off].mean(), abs=1e-5)
    assert view.to_real == pytest.approx(cosines[:24, 24:].mean(), abs=1e-5)
    # of the first 24 rows each sixth of a label has one of its six words: two of each, and 3004
    assert view.trivial == sum(
        "awful" in row or "superb" in row or row.endswith("3004") for row in synthetic
    )
    assert view.trivial == 5

    assert (of_real.name, of_real.method, of_real.rows) == ("real rows", None, 30)
    off = ~np.eye(30, dtype=bool)
    assert of_real.inter == pytest.approx(cosines[24:, 24:][off].mean(), abs=1e-5)
    assert of_real.to_real is None
    assert of_real.trivial == sum("awful" in row or "superb" in row for row in real) > 0
    assert [(one.total, one.done) for one in heard if one.stage == "diagnose"] == [(1, 0), (1, 1)]


def test_the_report_shows_it(done):
    folder = done[0] / "root" / "studies" / "toy"
    view, of_real = done[1].diagnostics
    for name in ("report.html", "report.md"):
        page = (folder / name).read_text()
        assert "How alike the rows are" in page
        assert "(model; a pair" in page  # the encoder, without the place of its folder
        for value in (view.inter, view.to_real, of_real.inter):
            assert f"{value:.3f}" in page
    table = pq.read_table(folder / "diagnostics.parquet").to_pylist()
    assert [row["name"] for row in table] == ["toy-recorded", "real rows"]
    assert table[0]["trivial_per_1000"] == pytest.approx(1000 * 5 / 24)
    assert done[1].problems == []


def test_a_second_time_nothing_is_made_and_nothing_is_an_orphan(done, copy, store):
    before, heard = snapshot(Path(store.root)), []
    again = run_study(planned(copy), store, heard.append)
    assert heard == []
    assert snapshot(Path(store.root)) == before
    assert again.diagnostics == done[1].diagnostics
    assert not [one for one in orphans(store) if one.name.startswith("diagnoses")]
    shutil.rmtree(Path(store.root) / "studies")
    (found,) = [one for one in orphans(store) if one.name.startswith("diagnoses")]
    assert store.has(found.name)


def test_a_damaged_diagnosis_is_found_and_made_again(done, copy, store):
    (file,) = diagnosis_files(Path(store.root))
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"rows":24', b'"rows":25'))
    plan, heard = planned(copy), []
    (found,) = damaged_files(files_of(plan, store), store)
    assert found.name == f"diagnoses/{file.name}"
    findings = run_study(plan, store, heard.append)
    assert file.read_bytes() == whole
    assert findings.diagnostics == done[1].diagnostics
    assert [one.stage for one in heard] == ["mend", "start", "diagnose", "diagnose"]


def test_more_rows_are_another_diagnosis_and_the_first_is_kept(copy, store):
    before = diagnosis_files(Path(store.root))
    findings = run_study(planned(copy, "factors.quantity=[8, 30]"), store, lambda _: None)
    assert findings.diagnostics[0].rows == 30
    assert set(before) < set(diagnosis_files(Path(store.root)))
    # until the study's folder is removed
    assert not [one for one in orphans(store) if one.name.startswith("diagnoses")]


def test_views_of_the_same_rows_share_a_diagnosis_and_each_has_its_line(copy, store):
    findings = run_study(planned(copy, "factors.min_words=[2, 3]"), store, lambda _: None)
    two, three, real = findings.diagnostics
    assert (two.name, three.name) == ("min_words 2", "min_words 3")
    assert two[2:] == three[2:]
    assert real.method is None
    assert len(diagnosis_files(Path(store.root))) == 1


def test_a_plan_lists_them(copy, store):
    def listed(*overrides):
        own = [
            one
            for one in steps(survey(planned(copy, *overrides), store))
            if one.kind == "diagnosis"
        ]
        return [(one.state, one.rows) for one in own]

    assert listed() == [("made", 24)]
    assert listed("diagnose.max_length=9") == [("missing", 24)]
    assert listed("factors.quantity=[300]") == [("waiting", 0)]


def test_what_failed_is_said_and_the_rest_is_reported(copy, store, tmp_path):
    plan = planned(copy, "diagnose.max_length=9")
    (one,) = survey(plan, store).examinations
    told = write_results(survey(plan, store), store).problems
    assert told == ["Missing: how alike the rows of toy-recorded are: not looked at yet."]
    broken = shutil.copytree(copy / "model", tmp_path / "broken")
    (broken / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    plan = planned(copy, f"diagnose.model={broken}")
    (one,) = survey(plan, store).examinations
    failed = examine(store, one)
    assert "nothing" in failed.failure
    assert failed.damage is None
    findings = write_results(survey(plan, store), store, {failed.name: failed.failure})
    assert findings.diagnostics == []
    assert findings.runs_made == findings.runs
    assert failed.failure in findings.problems[0]


def test_a_damaged_view_is_named_and_no_failure_of_the_encoder(copy, store):
    (one,) = survey(planned(copy, "diagnose.max_length=9"), store).examinations
    view = next((Path(store.root) / one.view.folder / "rows").iterdir())
    data = bytearray(view.read_bytes())
    data[len(data) // 3] ^= 4
    view.write_bytes(data)
    damage = examine(store, one).damage
    assert damage.name == str(view.relative_to(store.root))
    assert not store.has(one.name)


def test_rows_that_changed_since_they_were_planned_are_not_looked_at(copy, store):
    (one,) = survey(planned(copy, "diagnose.max_length=9"), store).examinations
    other = replace(one, inputs={**one.inputs, "synthetic": "0" * 64})
    assert examine(store, other).damage.name == other.name
    assert not store.has(other.name)


def test_without_real_rows_there_is_nothing_to_be_like(copy, store):
    plan = planned(copy, "diagnose.real=0")
    (one,) = survey(plan, store).examinations
    assert examine(store, one) == Examined(one)
    (found,) = write_results(survey(plan, store), store).diagnostics
    assert found.to_real is None
    assert found.inter is not None
