"""A whole search of a toy in Ray Tune, with real training; tests/flow has more, in one process."""

import pyarrow.parquet as pq
import pytest
from command import textmill
from root_snapshot import snapshot
from toy_study import make_toy

from engine.search.search import search_study
from engine.store.store import Store
from engine.study.load import load_study

pytestmark = pytest.mark.usefixtures("ray_up")

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
run_on = "ray"
fleet = 1
share = "split"
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


@pytest.mark.parametrize("share", ["split", pytest.param("turns", marks=pytest.mark.long)])
def test_engines_and_workers_serve_all_trials(folder, share, counted):
    plugs = ["generate.engine=counting_plugins:Engine", "train.trainer=counting_plugins:Training"]
    words = [word for one in plugs for word in ("--set", one)]
    words += ["--set", f"resources.share={share}", "--root", share]
    done = textmill("search", "study.toml", *words, folder=folder)
    assert done.returncode == 0, done.stderr
    phases = done.stderr.count("phase ")
    assert phases >= 2
    started, trained = (path.read_text().splitlines() for path in counted)
    assert len(started) == (1 if share == "split" else phases)
    workers = {line.split()[0] for line in trained}
    assert len(workers) == (1 if share == "split" else phases)
    trials = pq.read_table(folder / share / "studies/toy/search/trials.parquet").to_pylist()
    assert {one["standing"] for one in trials} == {"whole", "stopped"}
    if share == "turns":
        split = pq.read_table(folder / "split/studies/toy/search/trials.parquet").to_pylist()
        assert [scored(one) for one in trials] == [scored(one) for one in split]


def scored(row):
    return {name: value for name, value in row.items() if not name.endswith("seconds")}
