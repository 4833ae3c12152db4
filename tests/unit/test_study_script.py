"""What scripts have of a study: ``engine.api.Study``, on files alone."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import REPOSITORY
from offline_fill import OfflineFill

from engine.api import ConfigError, RootError, Store, Study
from engine.make.make import prepare
from engine.pipeline import report_study
from engine.status.survey import survey
from engine.train.run_worker import RunWorker

PAGE = (REPOSITORY / "engine" / "README.md").read_text(encoding="utf-8")
CONFIGURED = ["train.trainer=user_plugins:Guess", "factors.quantity=[0, 8]", "factors.real=[10]"]


@pytest.fixture
def done(toy):
    """A study whose rows and runs are there, filled without Ray."""
    filled = OfflineFill(toy / "study.toml", CONFIGURED).fill()
    prepare(filled.plan, filled.store)  # recipes, which engines write first
    worker = RunWorker(filled.store)
    for run in survey(filled.plan, filled.store).missing():
        worker.do(run)
    return Study.from_file(toy / "study.toml", CONFIGURED, root=toy / "root")


def test_a_plan_is_a_table_of_steps(toy):
    steps = Study.from_file(str(toy / "study.toml"), CONFIGURED, root=toy / "root").plan()
    assert list(steps["kind"].unique()) == ["pool", "view", "run"]
    assert set(steps["state"]) == {"missing", "waiting"}
    assert not (toy / "root").exists()


def test_what_is_there_is_run_again_with_nothing_to_do(done):
    heard = []
    findings = done.run(progress=heard.append)
    assert (findings.runs_made, findings.runs, findings.problems) == (2, 2, [])  # it draws nothing
    assert not [progress for progress in heard if progress.total]
    assert set(done.plan()["state"]) == {"made"}


def test_results_are_the_table_that_the_report_writes(done):
    before = done.results()
    assert done.write_report().problems == []
    folder = Path(done.store.root) / "studies" / "toy"
    assert before.equals(pq.read_table(folder / "results.parquet").to_pandas())
    assert len(before) == 2 * 2 * 2  # conditions, repeats, splits
    assert done.report == folder / "report.html"
    assert done.report.is_file()


def test_rows_are_those_of_the_views_accepted_or_not(done):
    rows = done.rows()
    (view,) = done.steps.views
    assert set(rows["view"]) == {"toy-recorded"}
    accepted = rows[rows["status"] == "accepted"]
    assert set(accepted["label"]) == {"bad", "good"}
    assert len(accepted) >= 8
    assert rows.columns[0] == "view"
    assert {"id", "label", "text", "status", "reason"} <= set(rows.columns)
    assert len(rows) == sum(done.survey().known.tally(view, slot).rows for slot in ("bad", "good"))


def test_before_any_row_the_tables_are_empty_and_have_their_columns(toy):
    study = Study.from_file(toy / "study.toml", CONFIGURED, root=toy / "root")
    assert (len(study.rows()), len(study.results())) == (0, 0)
    assert "text" in study.rows().columns
    assert "accuracy" in study.results().columns
    with pytest.raises(RootError, match="no report yet"):
        _ = study.report


def test_the_root_is_that_of_the_environment_or_the_default(toy, monkeypatch):
    monkeypatch.chdir(toy)
    assert Study.from_file("study.toml").store.root == str(toy / Store.DEFAULT_ROOT)
    monkeypatch.setenv("TEXTMILL_ROOT", str(toy / "elsewhere"))
    assert Study.from_file("study.toml").store.root == str(toy / "elsewhere")
    with pytest.raises(ConfigError, match=r"train\.stepz"):
        Study.from_file("study.toml", ["train.stepz=3"])


def test_the_script_of_the_page_runs_as_it_stands(done, toy, monkeypatch, capsys):
    (script,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    levels = "\n".join(["[train]", 'trainer = "user_plugins:Guess"', 'model = "./model"'])
    study = (toy / "study.toml").read_text().partition("[train]")[0]
    factors = "[factors]\nquantity = [0, 8]\nreal = [10]\n"
    (toy / "study.toml").write_text(f"{study}{levels}\n{factors}")
    monkeypatch.chdir(toy)
    (toy / "root").rename(toy / "out")
    names = {}
    exec(script, names)
    assert (len(names["scores"]), len(names["rows"])) == (8, 16 * 2)
    said = capsys.readouterr().out
    assert "reused" in said
    assert said.splitlines()[-1] == str(toy / "out" / "studies" / "toy" / "report.html")


def test_a_report_is_written_from_what_is_there_as_the_command_does(done):
    first = done.write_report()
    assert report_study(done.steps, done.store).results == first.results
