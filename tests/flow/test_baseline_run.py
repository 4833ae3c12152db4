"""The LLM itself as a classifier, in whole studies."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import textmill
from root_snapshot import snapshot
from toy_study import make_toy

from engine.findings.gather import gather
from engine.generate.generation import generate
from engine.make.fill import fill_views
from engine.make.make import prepare
from engine.make.work import Work
from engine.pipeline import make_pilot, run_study
from engine.plan.plan import make_plan
from engine.report.tables import BASELINE_COLUMNS
from engine.status.forecast import forecast
from engine.status.survey import survey
from engine.status.wants import wants
from engine.store.store import Store
from engine.study.load import load_study
from engine.tasks.task import builtin_tasks

STUDY = [
    "generate.engine=user_plugins:Labelling",
    "train.trainer=user_plugins:Guess",
    "factors.quantity=[8]",
    "factors.real=[0]",
    "repeats=1",
    "replicates=2",
    "baseline.shots=[0, 2]",
]
FLAGS = [word for one in STUDY for word in ("--set", one)]


def table(root, name):
    return pq.read_table(root / "studies" / "toy" / name)


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_model):
    """A study with baselines that was run once."""
    folder = make_toy(tmp_path_factory.mktemp("baselines"), tiny_model)
    outcome = textmill("run", "study.toml", "--root", "root", *FLAGS, folder=folder)
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    return folder, outcome


@pytest.fixture
def copy(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_scores_are_those_of_the_answers_that_the_engine_gave(done):
    rows = table(done[0] / "root", "baselines.parquet").to_pylist()
    assert list(rows[0]) == list(BASELINE_COLUMNS)
    found = {(row["shots"], row["replicate"], row["split"]): row for row in rows}
    assert len(found) == 3 * 2
    for (shots, _, split), row in found.items():
        # of five rows one has no answer, and without examples another a wrong one
        assert row["accuracy"] == pytest.approx(0.8 if shots else 0.6)
        assert row["rows"] == {"validation": 20, "test": 30}[split]
        assert row["unanswered"] == row["rows"] / 5
        assert row["prompt_tokens"] == 7 * row["rows"]
    assert {replicate for shots, replicate, _ in found if shots} == {0, 1}
    assert {replicate for shots, replicate, _ in found if not shots} == {None}


def test_the_report_sets_every_condition_against_the_shots_that_are_best_on_validation(done):
    folder = done[0] / "root" / "studies" / "toy"
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert "<h2>The LLM itself</h2>" in page
    assert "user_plugins:Labelling, 2 shots" in page
    own = table(done[0] / "root", "results.parquet").to_pylist()
    scored = [row["accuracy"] for row in own if row["split"] == "test"]
    assert f"| {100 * (sum(scored) / len(scored) - 0.8):+.1f} |" in text
    assert "80.0 [80.0, 80.0]" in text
    assert "20.0 %" in text
    assert (
        "The LLM itself (user_plugins:Labelling, 2 shots, which is best on validation): 80.0"
        in (done[1].stdout)
    )


def test_results_mean_what_they_mean_without_baselines(done, copy):
    before = table(copy / "root", "results.parquet")
    plain = [word for word in FLAGS if not word.startswith("baseline")][:-1]
    told = textmill("report", "study.toml", "--root", "root", *plain, folder=copy)
    assert told.returncode == 0, told.stderr
    assert table(copy / "root", "results.parquet").equals(before)
    assert table(copy / "root", "baselines.parquet").num_rows == 0
    for name in ("report.html", "report.md"):
        assert "LLM itself" not in (copy / "root" / "studies" / "toy" / name).read_text()


def test_a_second_time_nothing_is_made_and_nothing_is_an_orphan(copy):
    before = snapshot(copy / "root")
    again = textmill("run", "study.toml", "--root", "root", *FLAGS, folder=copy)
    assert (again.returncode, again.stderr) == (0, "")
    assert snapshot(copy / "root") == before
    said = textmill("status", "study.toml", "--root", "root", "--json", *FLAGS, folder=copy)
    assert json.loads(said.stdout)["counts"]["baseline"] == {"made": 3}
    orphans = textmill("clean", "--root", "root", "--older-than", "0", folder=copy)
    assert orphans.stdout.startswith("0 files")


def test_what_is_missing_or_damaged_is_made_again_and_nothing_else(copy):
    plan = make_plan(load_study(copy / "study.toml", STUDY))
    store = Store.open(str(copy / "root"))
    before = snapshot(copy / "root")
    lost, damaged = (
        sorted((Path(store.root) / one.folder / "rows").iterdir())[0] for one in plan.baselines[:2]
    )
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-20])
    heard = []
    findings = run_study(plan, store, heard.append)
    assert findings.problems == []
    assert max(one.done for one in heard if one.stage == "generate") == 32
    after = snapshot(copy / "root")
    assert {path for path in before if after[path] != before[path]} <= {lost, damaged}
    assert pq.read_table(lost).num_rows == pq.read_table(damaged).num_rows == 16


def test_a_budget_that_ends_leaves_the_rest_for_later_and_says_so(toy, tmp_path):
    store = Store.open(str(tmp_path / "root"))

    def filled(limit):
        plan = make_plan(load_study(toy / "study.toml", [*STUDY, f"budget.max_tokens={limit}"]))
        prepare(plan, store)
        return plan, fill_views(Work(plan, store, lambda _: None), survey(plan, store)).troubles

    plan, troubles = filled(900)
    assert "max_tokens 900" in troubles[0]
    lacking = sum(one.lacking(store) for one in plan.baselines)
    assert 0 < lacking < 150
    kept = snapshot(store.root, ["pools"])
    plan, troubles = filled(100_000)
    assert troubles == []
    assert sum(one.lacking(store) for one in plan.baselines) == 0
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_pilot_asks_about_the_first_rows_and_a_forecast_knows_the_rest(toy, tmp_path):
    store = Store.open(str(tmp_path / "root"))
    plan = make_plan(load_study(toy / "study.toml", [*STUDY, "replicates=1"]))
    prepare(plan, store)
    assert make_pilot(plan, store) == 2 * 16 + 2 * (16 + 16)
    ahead = forecast(survey(plan, store))
    assert (ahead.rows, ahead.unknown) == (2 * (4 + 14), [])
    assert ahead.more.tokens == pytest.approx(2 * ahead.rows)


def test_the_study_goes_on_when_the_llm_is_lost(toy, tmp_path):
    asked = [one for one in STUDY if not one.startswith("generate")]
    lost = "baseline.engine=user_plugins:Lost"
    plan = make_plan(load_study(toy / "study.toml", [*asked, "replicates=1", lost]))
    findings = run_study(plan, Store.open(str(tmp_path / "root")), lambda _: None)
    assert findings.runs_made == findings.runs == 1
    assert any("No engine was left that works" in problem for problem in findings.problems)
    assert any("the LLM itself, 2 shots: 50 of 50" in problem for problem in findings.problems)
    assert findings.baselines == []


def test_the_embedded_model_is_asked_and_its_answers_are_scored(toy, tmp_path):
    task = (toy / "task.toml").read_text()
    demo = builtin_tasks()["demo-reviews"].read_text().partition("[splits]")[0]
    rows = [
        json.dumps({"label": label, "text": f"The {thing} is {said}."})
        for thing in ("kettle", "lamp")
        for label, said in (("negative", "bad"), ("neutral", "so-so"), ("positive", "great"))
    ]
    for split in ("train", "validation", "test"):
        (toy / f"{split}.jsonl").write_text("\n".join(rows))
    folder = builtin_tasks()["demo-reviews"].parent
    demo = demo.replace('"demo-products.txt"', f'"{folder}/demo-products.txt"')
    (toy / "task.toml").write_text(demo + task[task.index("[splits]") :])
    (toy / "records.jsonl").write_text("\n".join(rows))
    asked = ["factors.quantity=[6]", "factors.real=[0]", "train.trainer=user_plugins:Guess"]
    named = ["baseline.model=textmill-demo", "baseline.shots=[0, 3]", "baseline.max_tokens=8"]
    plan = make_plan(load_study(toy / "study.toml", [*asked, *named, "curate.filters=[]"]))
    store = Store.open(str(tmp_path / "root"))
    prepare(plan, store)
    own = [want for want in wants(survey(plan, store)) if want.pool in plan.baselines]
    generate(own, store, plan.file.study.resources, lambda _: None)
    findings = gather(survey(plan, store), {}, [])
    assert len(findings.baselines) == 4
    for row in findings.baselines:
        assert row["rows"] == 6
        assert 0 <= row["accuracy"] <= 1 - row["unanswered"] / 6
        assert row["prompt_tokens"] > 6 * 20
    assert "only taught to write" in findings.caveat
