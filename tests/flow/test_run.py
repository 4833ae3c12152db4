"""The whole flow on a toy study, through the command line."""

import json
import shutil
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from command import textmill
from root_snapshot import snapshot
from toy_study import make_toy

from engine.store.schema import RESULT_COLUMNS
from engine.store.store import Store


def results(root):
    return pq.read_table(root / "studies" / "toy" / "results.parquet").to_pylist()


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_model):
    """A toy study that was run once; tests read it and work on copies."""
    folder = make_toy(tmp_path_factory.mktemp("done"), tiny_model)
    outcome = textmill("run", "study.toml", "--root", "root", folder=folder)
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    return folder, outcome


@pytest.fixture
def copy(done, tmp_path):
    """A copy of the toy study that was run once."""
    shutil.copytree(done[0], tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_a_study_ends_with_a_row_per_run_and_split(done):
    rows = results(done[0] / "root")
    cells = {(row["quantity"], row["real"]) for row in rows}
    assert cells == {(0, 10), (8, 0), (8, 10), (24, 0), (24, 10)}
    assert len(rows) == 5 * 2 * 2
    assert set(RESULT_COLUMNS) == set(rows[0])
    for row in rows:
        assert (row["rows_synthetic"], row["rows_real"]) == (row["quantity"], row["real"])
        assert 0 <= row["macro_f1"] <= 1
        assert row["steps_done"] == 6
        assert (row["pool"] is None) == (row["quantity"] == 0)


def test_scores_are_those_of_the_predictions_in_the_runs_file(done):
    root = done[0] / "root"
    gold = [json.loads(line) for line in (done[0] / "test.jsonl").read_text().splitlines()]
    for row in results(root):
        if row["split"] == "test":
            body = Store.open(str(root)).document(row["run"])
            predicted = body["splits"]["test"]["predictions"]
            hits = [
                ("bad", "good")[n] == one["label"] for n, one in zip(predicted, gold, strict=True)
            ]
            assert row["accuracy"] == pytest.approx(sum(hits) / len(hits))


def test_the_report_is_one_file_that_needs_no_network(done):
    folder = done[0] / "root" / "studies" / "toy"
    page = (folder / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "src=" not in page
    assert "10 of 10 runs" in page
    assert "quantity" in (folder / "report.md").read_text()
    for name in ("accuracy.png", "accuracy.svg", "macro_f1.png", "macro_f1.svg"):
        assert (folder / "figures" / name).stat().st_size > 1000


def test_the_terminal_is_told_where_the_report_is(done):
    assert "10 of 10 runs are there" in done[1].stdout
    assert done[1].stdout.rstrip().endswith("root/studies/toy/report.html")


def test_a_second_time_nothing_is_made(copy):
    before = snapshot(copy / "root")
    again = textmill("run", "study.toml", "--root", "root", folder=copy)
    assert again.returncode == 0
    assert again.stderr == ""
    assert snapshot(copy / "root") == before


def test_raising_the_quantity_makes_only_what_is_missing(copy):
    before, scores = snapshot(copy / "root"), results(copy / "root")
    larger = ["study.toml", "--root", "root", "--set", "factors.quantity=[0, 8, 24, 60]"]
    plan = json.loads(textmill("plan", *larger, "--json", folder=copy).stdout)
    states = [step["state"] for step in plan["steps"] if step["kind"] == "run"]
    assert plan["rows_to_make"] == 32
    assert (states.count("made"), states.count("waiting")) == (10, 4)
    assert snapshot(copy / "root") == before
    done = textmill("run", *larger, folder=copy)
    assert done.returncode == 0, done.stderr
    assert "generate: 32 of 32 rows" in done.stderr
    assert "train: 4 of 4 runs" in done.stderr
    after = snapshot(copy / "root")
    assert {path: after[path] for path in before} == before
    kept = [row for row in results(copy / "root") if row["quantity"] <= 24]
    assert kept == scores


def test_changing_the_curation_regenerates_nothing(copy):
    before = snapshot(copy / "root")
    stricter = ["study.toml", "--root", "root", "--set", "curate.min_words=3"]
    plan = json.loads(textmill("plan", *stricter, "--json", folder=copy).stdout)
    steps = {
        kind: [one for one in plan["steps"] if one["kind"] == kind] for kind in ("pool", "view")
    }
    assert [step["state"] for step in steps["pool"]] == ["made"]
    assert [step["state"] for step in steps["view"]] == ["missing"]
    assert "curate.min_words 2 -> 3" in steps["view"][0]["why"]
    done = textmill("run", *stricter, folder=copy)
    assert done.returncode == 0, done.stderr
    assert "generate" not in done.stderr
    # the rows that pass are the same, so the runs are, too
    assert "train" not in done.stderr
    after = snapshot(copy / "root")
    assert {path: after[path] for path in before} == before


def test_plan_says_why_a_run_is_to_be_made_again(copy):
    changed = ["study.toml", "--root", "root", "--set", "train.steps=7"]
    plan = textmill("plan", *changed, folder=copy).stdout
    assert "10 missing: stale: made before this changed: train.steps 6 -> 7\n" in plan
    with (copy / "test.jsonl").open("a") as file:
        file.write('{"label": "good", "text": "one more row"}\n')
    plan = textmill("plan", "study.toml", "--root", "root", folder=copy).stdout
    assert "before this changed: test" in plan


def test_plan_and_status_write_nothing(tmp_path, toy):
    for command in ("plan", "status"):
        assert textmill(command, "study.toml", "--root", "new", folder=toy).returncode == 0
    assert not (toy / "new").exists()


def test_status_knows_from_the_files_how_far_a_study_is(copy):
    said = json.loads(
        textmill("status", "study.toml", "--root", "root", "--json", folder=copy).stdout
    )
    assert said["counts"]["run"] == {"made": 10}
    next((copy / "root" / "runs").iterdir()).unlink()
    said = json.loads(
        textmill("status", "study.toml", "--root", "root", "--json", folder=copy).stdout
    )
    assert said["counts"]["run"] == {"made": 9, "missing": 1}


def test_damage_is_found_by_status_and_mended_by_run(copy):
    root, scores = copy / "root", results(copy / "root")
    run = next((root / "runs").iterdir())
    pool = next((root / "pools").glob("*/rows/*"))
    view = next((root / "views").glob("*/rows/*"))
    gold = next((root / "gold").glob("*train*"))
    for path in (run, pool, view, gold):
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 4
        path.write_bytes(data)
    verified = textmill("status", "study.toml", "--root", "root", "--verify", folder=copy)
    assert verified.returncode == 1
    for path in (run, pool, view, gold):
        assert f"damaged: {path.relative_to(root)}" in verified.stdout
    mended = textmill("run", "study.toml", "--root", "root", folder=copy)
    assert mended.returncode == 0, mended.stderr
    for path in (run, pool, view, gold):
        assert f"{path.relative_to(root)} is set aside and made again" in mended.stderr
    verified = textmill("status", "study.toml", "--root", "root", "--verify", folder=copy)
    assert verified.returncode == 0, verified.stdout
    assert [{**row, "train_seconds": 0} for row in results(root)] == [
        {**row, "train_seconds": 0} for row in scores
    ]


def test_report_is_written_again_from_what_is_there(copy):
    page = copy / "root" / "studies" / "toy" / "report.html"
    before = page.read_text()
    page.unlink()
    assert textmill("report", "study.toml", "--root", "root", folder=copy).returncode == 0
    assert page.read_text() == before
    next((copy / "root" / "runs").iterdir()).unlink()
    partial = textmill("report", "study.toml", "--root", "root", folder=copy)
    assert partial.returncode == 1
    assert "not trained yet" in page.read_text()


def test_clean_removes_what_no_study_refers_to_and_only_when_told(copy):
    root = copy / "root"
    before = snapshot(root)
    other = ["--set", "name=other", "--set", "curate.min_words=3", "--set", "factors.quantity=[8]"]
    fewer = ["--set", "factors.real=[0]", "--set", "repeats=1"]
    assert (
        textmill("run", "study.toml", "--root", "root", *other, *fewer, folder=copy).returncode == 0
    )
    nothing = textmill("clean", "--root", "root", "--older-than", "0", folder=copy)
    assert nothing.stdout.startswith("0 files")
    shutil.rmtree(root / "studies" / "other")
    (root / "runs" / ".tmp-left-behind").write_text("x")
    shown = textmill("clean", "--root", "root", "--older-than", "0", folder=copy)
    assert shown.stdout.count("views/") == 1
    assert "runs/.tmp-left-behind" in shown.stdout
    young = textmill("clean", "--root", "root", "--yes", folder=copy)
    assert "Removed 0 files" in young.stdout
    removed = textmill("clean", "--root", "root", "--yes", "--older-than", "0", folder=copy)
    assert "Removed 2 files" in removed.stdout
    assert snapshot(root) == before


def test_work_under_other_settings_is_no_orphan(copy):
    changed = ["study.toml", "--root", "root", "--set", "train.steps=7"]
    assert textmill("report", *changed, folder=copy).returncode == 1
    assert textmill("clean", "--root", "root", "--older-than", "0", folder=copy).stdout[:2] == "0 "


def test_views_can_be_read_by_datasets(done):
    rows = next((done[0] / "root" / "views").glob("*/rows"))
    data = datasets.load_dataset("parquet", data_dir=str(rows), split="train", streaming=True)
    assert {row["status"] for row in data} == {"accepted"}


RECIPES = """
[[factors.recipe]]
name = "willing"
engine = "user_plugins:Slow"
[[factors.recipe]]
name = "unwilling"
engine = "user_plugins:Refusing"
[[factors.recipe]]
name = "scarce"
records = "scarce.jsonl"
"""


def test_a_recipe_that_falls_short_or_is_given_up_is_said_to_be_so_and_the_study_goes_on(toy):
    lines = (toy / "records.jsonl").read_text().splitlines()
    (toy / "scarce.jsonl").write_text("\n".join([*lines[:24], *lines[:24]]) + "\n")
    with (toy / "study.toml").open("a") as file:
        file.write(RECIPES)
    fewer = ["--set", "factors.quantity=[8, 40]", "--set", "factors.real=[0]"]
    words = ["run", "study.toml", "--root", "root", *fewer, "--set", "repeats=1"]
    done = textmill(*words, folder=toy)
    assert done.returncode == 1, done.stderr
    assert (
        "Given up: quantity 8, real 0, recipe unwilling: of 160 rows 160 were refused"
        in done.stdout
    )
    assert "refusal)" in done.stdout
    assert "Short of rows: quantity 40, real 0, recipe scarce: 24 of 40" in done.stdout
    made = {(row["recipe"], row["rows_synthetic"]) for row in results(toy / "root")}
    assert made == {("willing", 8), ("willing", 40), ("scarce", 8), ("scarce", 24)}
    again = textmill(*words, folder=toy)
    assert again.returncode == 1
    assert again.stderr == ""


PUBLISHED = """
name = "own"
title = "A paper"
[[groups]]
title = "Table 1"
measure = "macro_f1"
source = "Printed."
cells = [
  {task = "toy", real = 10, value = 50},
  {task = "toy", method = "recorded", quantity = 8, real = 10, value = 60},
]
"""


def test_published_numbers_stand_beside_those_of_the_study_that_names_them(copy):
    (copy / "own.toml").write_text(PUBLISHED)
    words = ("study.toml", "--root", "root", "--set", "published=own.toml")
    assert textmill("report", *words, folder=copy).returncode == 0
    page = (copy / "root" / "studies" / "toy" / "report.md").read_text()
    assert "2 of its 2 numbers are here." in page
    assert "| toy | real rows alone | 0 | 10 | 50.0 | " in page
    assert "| toy | recorded | 8 | 10 | 60.0 | " in page


def test_generated_text_cannot_break_the_report(toy):
    from engine.findings.findings import Findings, TaskFacts
    from engine.report.write import write_report

    store = Store.open(str(toy / "root"))
    nasty = "<script>alert(1)</script>"
    found = Findings(
        name="nasty", tasks={nasty: TaskFacts([nasty], {})}, factors=[], results=[], sources=[],
        repeats=1, replicates=1, runs=0, problems=[nasty], settings={}, drawless=[],
        recipe={}, caveat="",
    )  # fmt: skip
    write_report(found, store)
    assert "<script>" not in (Path(store.root) / "studies" / "nasty" / "report.html").read_text()
