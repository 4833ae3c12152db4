"""Processes are killed at random, paused or interrupted, or meet others: the result is the same."""

import random
import shutil
import signal
import time

import pytest
from command import textmill
from forked import Command
from root_snapshot import outcome, snapshot
from toy_study import make_toy

LIMIT_S = 900  # of a study, beside another one, on a machine that is busy with other tests
PAUSE_S, LONG_PAUSE_S = 0, 70  # of a paused command, beside what its replacement takes
KILLS = 3  # in each stage
TRIES = 9  # to hit a stage so often; a driver may have gone on to the next one
STAGES = {"generate": "pools", "curate": "views", "train": "runs"}
SLOW_STUDY = """
name = "toy"
task = "task.toml"
repeats = 2
[generate]
engine = "user_plugins:Slow"
[curate]
filters = ["duplicate", "user_plugins:Unhurried"]
[train]
trainer = "user_plugins:Dawdling"
[resources]
run_on = "here"
rows_per_call = 32
fleet = 1
[factors]
quantity = [0, 100]
real = [0, 10]
"""


@pytest.fixture(scope="module")
def slow_toy(tmp_path_factory, tiny_model):
    """A folder with a study whose every stage takes a while."""
    folder = make_toy(tmp_path_factory.mktemp("slow"), tiny_model)
    (folder / "study.toml").write_text(SLOW_STUDY)
    return folder


@pytest.fixture(scope="module")
def undisturbed(slow_toy):
    """What an undisturbed run of the study comes to."""
    finish(slow_toy, "undisturbed")
    return outcome(slow_toy / "undisturbed")


def start(folder, root, log, study="study.toml", *more):
    """Start a study in a process of its own, which says what it does in the file ``log``."""
    return Command(["run", study, "--root", root, *more], folder, folder / log)


def finish(folder, root):
    process = start(folder, root, f"{root}.log")
    assert process.wait(LIMIT_S) == 0, (folder / f"{root}.log").read_text()


def committed(root, *folders):
    """Return every file that is never to change, with its bytes."""
    return snapshot(root, folders)


def ahead_of(stage, done, root):
    """Leave in ``root`` what a study has when a stage begins: all that came before it.

    Before training its runs are there as well: they stand under the content of their training
    sets, so rows that come out otherwise would be trained on anew, and be found out.
    """
    shutil.rmtree(root, ignore_errors=True)
    kept = {"generate": ["runs"], "curate": ["pools", "runs"], "train": ["pools", "views"]}
    for folder in ("gold", *kept[stage]):
        shutil.copytree(done / folder, root / folder)


def kill_during(stage, folder, root):
    """Kill the driver at a random moment of a stage; say whether the stage was still on."""
    log = folder / "killed.log"
    commits = f"{STAGES[stage]}"
    before = len(committed(folder / root, commits))
    process = start(folder, root, log.name)
    deadline = time.monotonic() + LIMIT_S
    wait_for_commit = random.random() < 0.7
    while process.poll() is None and time.monotonic() < deadline:
        has_begun = f"{stage}: 0 of" in said(log)
        if has_begun and (len(committed(folder / root, commits)) > before or not wait_for_commit):
            break
        time.sleep(0.02)
    time.sleep(random.uniform(0, 0.3))
    later = list(STAGES)[list(STAGES).index(stage) + 1 :]
    is_on = process.poll() is None and not any(f"{one}: 0 of" in said(log) for one in later)
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT_S)
    return is_on


@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_driver_loses_and_doubles_nothing(slow_toy, undisturbed, stage):
    root = slow_toy / stage
    ahead_of(stage, slow_toy / "undisturbed", root)
    hits, seen = 0, committed(root, *STAGES.values())
    for _ in range(TRIES):
        if kill_during(stage, slow_toy, stage):
            hits += 1
        else:
            ahead_of(stage, slow_toy / "undisturbed", root)
            seen = {}
        now = committed(root, *STAGES.values())
        assert {path: now.get(path) for path in seen} == seen
        seen = now
        if hits == KILLS:
            break
    assert hits == KILLS
    if stage == "train":  # what an unfinished study has made is referred to, and so no orphan
        textmill("clean", "--root", stage, "--yes", "--older-than", "0", folder=slow_toy)
    finish(slow_toy, stage)
    now = committed(root, *STAGES.values())
    assert {path: now.get(path) for path in seen} == seen
    assert outcome(root) == undisturbed


def test_two_commands_at_once_come_to_the_same(slow_toy, undisturbed):
    processes = [start(slow_toy, "both", log) for log in ("first.log", "second.log")]
    for process, log in zip(processes, ("first.log", "second.log"), strict=True):
        assert process.wait(LIMIT_S) == 0, (slow_toy / log).read_text()
    assert outcome(slow_toy / "both") == undisturbed


@pytest.mark.parametrize("stage", ["generate", "train"])
def test_an_interrupted_command_says_how_to_go_on(slow_toy, undisturbed, stage):
    root, log = slow_toy / f"interrupted-{stage}", slow_toy / "interrupted.log"
    ahead_of(stage, slow_toy / "undisturbed", root)
    process = start(slow_toy, root.name, log.name)
    process.wait_for(
        lambda: committed(root, "pools") if stage == "generate" else "train: 0 of" in said(log), log
    )
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 130, log.read_text()
    assert log.read_text().rstrip().endswith("interrupted; run the same command to continue")
    assert "Traceback" not in log.read_text()


def said(log):
    return log.read_text() if log.exists() else ""


def begun(folder, root):
    """Start the study, and return it once it has committed something."""
    process = start(folder, root, f"{root}.log")
    process.wait_for(lambda: committed(folder / root, "pools"), folder / f"{root}.log")
    return process


def test_a_command_that_was_paused_beside_its_replacement_does_no_harm(
    slow_toy, undisturbed, pytestconfig
):
    process = begun(slow_toy, "paused")
    for one in process.family():
        one.suspend()
    seen = committed(slow_toy / "paused", *STAGES.values())
    time.sleep(LONG_PAUSE_S if pytestconfig.getoption("--long") else PAUSE_S)
    again = start(slow_toy, "paused", "replacement.log")
    assert again.wait(LIMIT_S) == 0, (slow_toy / "replacement.log").read_text()
    for one in process.family():
        one.resume()
    assert process.wait(LIMIT_S) == 0, (slow_toy / "paused.log").read_text()
    now = committed(slow_toy / "paused", *STAGES.values())
    assert {path: now.get(path) for path in seen} == seen
    assert outcome(slow_toy / "paused") == undisturbed


def test_studies_that_share_a_pool_come_to_the_same_at_once(slow_toy, undisturbed):
    """One of them knows the folder by another name, as another machine does."""
    other = SLOW_STUDY.replace('"toy"\ntask', '"other"\ntask').replace("100]", "60, 90]")
    (slow_toy / "other.toml").write_text(other)
    (slow_toy / "shared").mkdir()
    (slow_toy / "by-another-name").symlink_to("shared")
    logs = ("one.log", "other.log")
    processes = [
        start(slow_toy, "shared", logs[0]),
        start(slow_toy, "by-another-name", logs[1], "other.toml"),
    ]
    for process, log in zip(processes, logs, strict=True):
        assert process.wait(LIMIT_S) == 0, (slow_toy / log).read_text()
    tables, results, runs = outcome(slow_toy / "shared")
    assert (tables, results) == undisturbed[:2]
    assert {name: runs[name] for name in undisturbed[2]} == undisturbed[2]
    assert len(runs) > len(undisturbed[2])
