"""A search is killed at random moments, and comes to the same."""

import random
import signal
import time

import pytest
from forked import Command
from root_snapshot import final_trials, snapshot
from toy_study import make_toy

LIMIT_S = 900
STAGES = ("pools", "runs", "runs")  # it is killed after it has committed something there
STUDY = """
name = "toy"
task = "task.toml"
repeats = 2
[generate]
engine = "user_plugins:Slow"
[train]
model = "./model"
trainer = "counting_plugins:Training"
steps = 20
precision = "float32"
[resources]
run_on = "here"
fleet = 1
share = "split"
[search]
rungs = [16, 80]
max_trials = 5
concurrent = 3
reduction_factor = 2
[factors]
shots = {low = 1, high = 4}
strategy = ["few_shot", "zero_shot"]
learning_rate = {low = 1e-4, high = 1e-2, log = true}
"""


@pytest.fixture
def folder(tmp_path, tiny_model):
    made = make_toy(tmp_path, tiny_model)
    (made / "study.toml").write_text(STUDY)
    return made


def start(folder, root):
    """Begin or resume the search in a process of its own."""
    words = ["search", "study.toml", "--root", root]
    return Command(words, folder, folder / f"{root}.log", TRAINED=str(folder / f"{root}.trained"))


def finish(folder, root):
    process = start(folder, root)
    assert process.wait(LIMIT_S) == 0, (folder / f"{root}.log").read_text()


def trained(folder, root):
    """Return the runs that were begun, in turn."""
    file = folder / f"{root}.trained"
    return [line.split()[1] for line in file.read_text().splitlines()] if file.exists() else []


def files(folder, root):
    return snapshot(folder / root, ["pools", "views", "runs"])


def kill_after_some(folder, root, stage):
    """Kill the search once it has committed something more, at a random moment after that."""
    before = len(snapshot(folder / root, [stage]))
    process = start(folder, root)
    process.wait_for(lambda: len(snapshot(folder / root, [stage])) > before, folder / f"{root}.log")
    time.sleep(random.uniform(0, 1))
    is_on = process.poll() is None  # else it was done before it could be killed
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT_S)
    return is_on


@pytest.mark.long
def test_a_search_that_is_killed_comes_to_the_same_and_measures_nothing_twice(folder):
    for stage in STAGES:
        assert kill_after_some(folder, "killed", stage)
        seen, begun = files(folder, "killed"), len(trained(folder, "killed"))
        there = {f"runs/{path.name}" for path in seen if path.parent.name == "runs"}
    finish(folder, "killed")
    now = files(folder, "killed")
    assert {path: now.get(path) for path in seen} == seen
    assert there
    assert not there & set(trained(folder, "killed")[begun:])
    finish(folder, "undisturbed")
    assert final_trials(folder / "killed") == final_trials(folder / "undisturbed")
    assert len(trained(folder, "undisturbed")) == len(set(trained(folder, "undisturbed")))
