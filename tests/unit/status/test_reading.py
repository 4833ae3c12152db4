"""A root is looked at once per round, and the result handed on."""

from pathlib import Path

import pytest
from counting_store import counting_store
from offline_fill import OfflineFill

from engine.make.fill import fill_views
from engine.make.make import make, prepare
from engine.make.references import write_references
from engine.make.training import Training
from engine.make.work import Work
from engine.pipeline import report_study, run_study, write_results
from engine.status.files import damaged_files, files_of
from engine.status.forecast import forecast
from engine.status.steps import steps
from engine.status.survey import survey
from engine.store.kinds import Kind, kind_of
from engine.store.reading import Reading
from engine.train.run_worker import RunWorker
from jobs.terminal import plan as show_plan
from jobs.terminal import status as show_status

STUDY = """
name = "counted"
task = "task.toml"
repeats = 2
[generate]
engine = "standin_llm:StandIn"
topics = {write = 5}
[train]
trainer = "user_plugins:Guess"
model = "./model"
[baseline]
shots = [0, 2]
[factors]
quantity = [0, 16, 24]
real = [0, 10]
rephrase = [false, true]
strategy = ["zero_shot", "topic"]
"""
REPHRASE = 'rephrase = "Say this in other words: {text}"\ntopics = "places"\n[splits]'


@pytest.fixture
def done(toy):
    """A study with pools of every kind, all of whose rows and runs are there."""
    task = toy / "task.toml"
    task.write_text(task.read_text().replace("[splits]", REPHRASE))
    (toy / "study.toml").write_text(STUDY)
    filled = OfflineFill(toy / "study.toml").fill()
    bench = RunWorker(filled.store)
    now = survey(filled.plan, filled.store)
    write_references(now, filled.store)
    for run in now.missing():
        bench.do(run)
    assert any(pool.parent for pool in filled.plan.pools)
    assert filled.plan.topic_pools
    assert filled.plan.baselines
    return filled


@pytest.fixture
def counted(done):
    return counting_store(done.store.root)


def at_most_once(files, stages):
    """Check that files of these stages were read, and none of any twice."""
    assert {kind_of(name).value.stage for name in files.bodies} >= set(stages)
    assert not {name: count for name, count in files.bodies.items() if count > 1}
    assert not {name: count for name, count in files.footers.items() if count > 1}


def test_a_round_of_run_reads_each_file_once(done, counted):
    store, files = counted
    work = Work(done.plan, store, lambda _: None)
    with Training(work) as training:
        making = make(work, training)
    write_results(making.now, store)
    assert not making.now.missing()
    at_most_once(files, ["pools", "views", "runs", "topics", "studies"])


def test_a_command_that_has_nothing_to_make_reads_each_file_twice(done, counted):
    """Once to see that it is whole, before any work begins, and once for what it says."""
    store, files = counted
    found = run_study(done.plan, store, lambda _: None)
    assert found.problems == []
    assert max(files.bodies.values()) == 2
    assert max(files.footers.values()) == 1


def test_status_and_plan_read_each_file_once(done, counted):
    store, files = counted
    said, _ = show_status.status(done.plan, store, json=False, verify=False)
    assert "made" in said
    at_most_once(files, ["views"])
    for counter in (files.bodies, files.footers):
        counter.clear()
    now = survey(done.plan, store)
    assert "0 rows to make" in show_plan.plan(now, json=False)
    assert {step.state for step in steps(now)} == {"made"}
    assert forecast(now).rows == 0
    at_most_once(files, ["views"])


def test_a_report_reads_each_file_once(done, counted):
    store, files = counted
    assert report_study(done.plan, store).problems == []
    at_most_once(files, ["pools", "views", "runs"])


def test_a_pool_that_lacks_rows_is_looked_at_once_before_they_are_made(done, counted):
    store, files = counted
    prepare(done.plan, store)
    now = survey(done.plan, store)
    assert fill_views(Work(done.plan, store, lambda _: None), now).now is now  # nothing was made
    at_most_once(files, ["views"])


def test_a_look_does_not_see_what_is_committed_after_it_asked(done):
    seen = Reading.of(done.store)
    (folder,) = {pool.folder for pool in done.plan.topic_pools}
    before = seen.names(f"{folder}/rows")
    name = f"{folder}/rows/{before[0]}"
    notes = seen.notes(name)
    done.store.retire(name)
    assert seen.names(f"{folder}/rows") == before
    assert seen.notes(name) == notes
    assert Reading.of(done.store).names(f"{folder}/rows") == before[1:]


def test_every_kind_that_is_read_is_looked_for_where_it_lies():
    stages = {kind.value.stage for kind in Kind if kind.value.readers != "none"}
    assert stages == {
        *("gold", "records", "pools", "topics", "views", "runs", "diagnoses", "embeddings"),
        *("models", "studies"),
    }


def test_files_of_others_are_passed_over_and_none_of_ours_is(done):
    before = files_of(done.plan, done.store)
    (pool, *_) = done.plan.pools
    root = Path(done.store.root)
    others = [
        "runs/.DS_Store",
        "runs/notes.txt",
        f"{pool.folder}/rows/.nfs0001",
        "gold/.x/y.parquet",
    ]
    others += [f"{pool.folder}/notes.txt", f"{pool.folder}/rows/more/a.parquet"]
    for name in others:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("?")
    assert sorted(files_of(done.plan, done.store)) == sorted(before)
    assert {kind_of(name).value.stage for name in before} >= {"gold", "pools", "views", "runs"}
    prepare(done.plan, done.store)  # the recipes, which are missing till then
    assert list(damaged_files(files_of(done.plan, done.store), done.store)) == []


def test_a_recipe_that_is_missing_beside_rows_is_looked_for(done):
    folder = done.plan.views[0].folder
    assert not done.store.has(f"{folder}/recipe.json")
    assert f"{folder}/recipe.json" in files_of(done.plan, done.store)
