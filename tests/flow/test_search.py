"""Whole searches of a toy in one process, with real training; tests/ray has one in Ray Tune."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import textmill
from root_snapshot import snapshot
from toy_study import make_toy

from engine.search.search import search_study
from engine.store.store import Store
from engine.study.load import load_study

STUDY = """
name = "toy"
task = "task.toml"
repeats = 2
[generate]
engine = "user_plugins:Slow"
[train]
model = "./model"
steps = 12
precision = "float32"
[resources]
run_on = "here"
fleet = 1
[search]
rungs = [16, 80]
max_trials = 4
concurrent = 3
reduction_factor = 2
[factors]
strategy = ["zero_shot", "few_shot"]
shots = {low = 1, high = 4}
learning_rate = {low = 1e-4, high = 1e-2, log = true}
batch_size = [4, 8]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    made = make_toy(tmp_path_factory.mktemp("search"), tiny_model)
    (made / "study.toml").write_text(STUDY)
    return made


@pytest.fixture(scope="module")
def search(folder):
    """Search the toy; return what came of it, and what was reported on the way."""

    def begin(root="root", *changes):
        heard = []
        file = load_study(folder / "study.toml", changes)
        return search_study(file, Store.open(f"{folder}/{root}"), heard.append), heard

    return begin


@pytest.fixture(scope="module")
def searched(search):
    return search()[0]


def table(found):
    """Return what trials came to: all of it but seconds, which no two searches share."""
    return {
        number: (
            dict(one.point),
            one.standing,
            [(m.rows, m.score, m.test, m.tokens) for m in one.rungs],
        )
        for number, one in found.trials.items()
    }


def test_every_trial_is_measured_and_the_best_go_on(searched):
    assert len(searched.trials) == 4
    for trial in searched.trials.values():
        assert len(trial.rungs) == (2 if trial.standing == "whole" else 1)
        assert all(len(one.test) == one.runs == 2 for one in trial.rungs)
        assert ("shots" in trial.point) == (trial.point["strategy"] == "few_shot")
    assert {one.standing for one in searched.trials.values()} == {"whole", "stopped"}
    assert not searched.troubles


def test_a_pool_is_extended_and_not_made_anew(searched, folder):
    pools = {path.parent.parent for path in (folder / "root" / "pools").rglob("*.parquet")}
    asked = {one.point.get("shots", 0) for one in searched.trials.values()}
    assert len(pools) == len(asked)  # trials that differ in training share one
    whole = next(one for one in searched.trials.values() if one.standing == "whole")
    first, last = whole.rungs
    assert 0 < first.tokens < last.tokens


def test_the_same_search_again_finds_all_of_it(searched, search, folder):
    before = snapshot(folder / "root")
    again, heard = search()
    assert table(again) == table(searched)
    assert again.hours > searched.hours
    assert snapshot(folder / "root") == before
    assert {one.stage for one in heard} == {"start", "search"}


def test_a_measurement_of_another_study_is_taken(searched, search, folder):
    before = snapshot(folder / "root")
    again, heard = search("root", "name=another")
    assert table(again) == table(searched)
    assert snapshot(folder / "root") == before
    assert {one.stage for one in heard} == {"start", "search"}


def test_the_winner_is_a_study_of_which_all_is_there(searched, folder):
    done = textmill("search", "study.toml", "--root", "root", folder=folder)
    assert done.returncode == 0, done.stderr
    place = folder / "root" / "studies" / "toy" / "search"
    assert (place / "report.html").exists()
    before = snapshot(folder / "root")
    again = textmill("run", str(place / "best.toml"), "--root", "root", folder=folder)
    assert again.returncode == 0, again.stderr
    assert snapshot(folder / "root") == before
    rows = pq.read_table(folder / "root/studies/toy-best/results.parquet").to_pylist()
    trials = pq.read_table(place / "trials.parquet").to_pylist()
    best = max((one for one in trials if one["quantity"] == 80), key=lambda one: one["validation"])
    own = [row["accuracy"] for row in rows if row["split"] == "test"]
    assert sum(own) / len(own) == pytest.approx(best["test"])


def test_what_fails_stops_no_other(folder):
    words = ["search", "study.toml", "--root", "refusing", "--set", "search.rungs=[16]"]
    words += ["--set", "factors.strategy=['zero_shot']", "--set", "search.sampler='grid'"]
    words += ["--set", "factors.learning_rate=[1e-2]", "--set", "factors.batch_size=[4]"]
    words += ["--set", "factors.shots=[1]", "--set", "quota.judged_after=16"]
    words += ["--set", "factors.engine=['user_plugins:Refusing', 'user_plugins:Slow']"]
    done = textmill(*words, folder=folder)
    assert done.returncode == 1, done.stderr
    assert "Trial 0 (strategy zero_shot" in done.stdout
    assert "came to nothing: of" in done.stdout
    assert "refusal" in done.stdout
    rows = pq.read_table(folder / "refusing" / "studies" / "toy" / "search" / "trials.parquet")
    assert rows["standing"].to_pylist() == ["failed", "whole"]


def test_more_trials_go_on_from_those_that_were(searched, search):
    fewer, _ = search("root", "search.max_trials=2")
    assert set(fewer.trials) == {0, 1}
    assert [dict(fewer.trials[at].point) for at in (0, 1)] == [
        dict(searched.trials[at].point) for at in (0, 1)
    ]


def test_a_limit_of_tokens_is_kept_and_lifted(searched, search, folder):
    found, _ = search("poor", "search.max_tokens=1000")
    assert "The budget bears no more rows" in found.troubles[0]
    assert any(one.standing == "cut off" for one in found.trials.values())
    spent = sum(
        row["completion_tokens"]
        for path in Path(folder, "poor", "pools").rglob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    )
    assert 0 < spent <= 1000
    richer, _ = search("poor")
    assert table(richer) == table(searched)


def test_a_limit_of_hours_ends_work_and_spoils_nothing(searched, search):
    found, _ = search("root", "search.max_hours=1e-6")
    assert table(found) == table(searched)  # of which all is there
    found, _ = search("hurried", "search.max_hours=1e-6")
    assert {one.standing for one in found.trials.values()} == {"cut off"}
    assert "at work for as long as it may" in found.troubles[0]


@pytest.mark.long
def test_a_search_of_nothing_but_failures_ends_at_once(search):
    found, _ = search(
        "hopeless",
        "generate.engine=user_plugins:Refusing",
        "quota.judged_after=16",
        "search.rungs=[16]",
    )
    assert len(found.trials) == 3  # those of the first phase
    assert {one.standing for one in found.trials.values()} == {"failed"}
