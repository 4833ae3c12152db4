"""Commands that work on Ray are killed or interrupted, or Ray is: the result is the same.

``tests/faults`` does this at every place and in many ways where there is no Ray.
"""

import contextlib
import signal
import sys
import time

import psutil
import pytest
from forked import Command
from root_snapshot import final_trials, outcome, snapshot
from toy_study import make_toy

from engine.store.kinds import Kind

LIMIT_S = 600  # of each command, beside whatever else the machine does
STUDY = """
name = "toy"
task = "task.toml"
repeats = 1
[generate]
engine = "user_plugins:Slow"
[train]
model = "./model"
trainer = "user_plugins:Kept"
[resources]
rows_per_call = 16
engine_cpus = 0.5
fleet = 1
fleet_cpus = 0.5
keep_models = true
"""
FACTORS = """
[factors]
quantity = [24, 64]
real = [0, 10]
"""
SEARCH = """
[search]
rungs = [16, 32]
max_trials = 2
[factors]
real = [0, 10]
"""
RUN, SEARCHING = ["run", "study.toml"], ["search", "search.toml"]
KEPT = ("gold", "pools", "views", "models", "runs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """A folder with a study and a search, and what they come to undisturbed without Ray."""
    folder = make_toy(tmp_path_factory.mktemp("killed"), tiny_model)
    (folder / "study.toml").write_text(STUDY + FACTORS)
    (folder / "search.toml").write_text(STUDY + SEARCH)
    for words in (RUN, SEARCHING):
        calm = [*words, "--root", f"calm-{words[0]}", "--set", "resources.run_on=here"]
        done = Command(calm, folder, folder / "log")
        assert done.wait(LIMIT_S) == 0, (folder / "log").read_text()
    return folder


@pytest.fixture(scope="module", autouse=True)
def _for_nobody_else():
    """End the Ray: of a command that is killed, Ray Train may leave a placement group behind."""
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.fixture
def start(folder, ray_up, killing):
    """Start a command that joins the session's Ray; return it, and what has all that it says."""

    joins = {"RAY_ADDRESS": ray_up, "RAY_AUTH_MODE": "token"}

    def begin(words, root):
        log = folder / f"{root}.log"
        words = [*words, "--root", root]
        return Command(words, folder, log, killing=killing, **joins), log

    return begin


@pytest.mark.parametrize(
    ("words", "points"),
    [
        (RUN, [(Kind.POOL_ROWS, "before"), (Kind.VIEW_ROWS, "after"), (Kind.RUN, "before")]),
        (SEARCHING, [(Kind.RUN, "after")]),
    ],
    ids=["run", "search"],
)
def test_a_command_that_is_killed_at_commits_on_ray_comes_to_the_same(
    folder, start, killing, words, points
):
    root = folder / f"killed-{words[0]}"
    for point, moment in points:
        seen = snapshot(root, KEPT)
        (killing / "wanted").write_text(f"{point.name} {moment}")
        command, log = start(words, root.name)
        assert command.wait(LIMIT_S) == -signal.SIGKILL, log.read_text()
        (killing / "done").unlink()
        now = snapshot(root, KEPT)
        assert {path: now.get(path) for path in seen} == seen
    seen = snapshot(root, KEPT)
    command, log = start(words, root.name)
    assert command.wait(LIMIT_S) == 0, log.read_text()
    assert "runs on Ray: RAY_ADDRESS names a cluster" in log.read_text()
    now = snapshot(root, KEPT)
    assert seen
    assert {path: now.get(path) for path in seen} == seen
    if words == RUN:
        assert outcome(root) == outcome(folder / "calm-run")
    else:
        assert final_trials(root) == final_trials(folder / "calm-search")


def test_a_command_on_ray_that_is_interrupted_says_how_to_go_on(folder, start):
    command, log = start([*RUN, "--set", "factors.quantity=[3000]"], "interrupted")
    command.wait_for(lambda: snapshot(folder / "interrupted", ["pools"]), log)
    command.send_signal(signal.SIGINT)
    assert command.wait(LIMIT_S) == 130, log.read_text()
    assert log.read_text().rstrip().endswith("interrupted; run the same command to continue")
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("part", ["gcs_server", pytest.param("raylet", marks=pytest.mark.long)])
def test_a_ray_of_which_a_part_is_killed_ends_the_command_with_a_word(folder, part):
    """The command has a Ray for itself."""
    log = folder / f"{part}.log"
    words = [*RUN, "--root", part, "--set"]
    # for so many seconds Ray looks for a head that is gone; by default for a minute
    soon = {"RAY_gcs_rpc_server_reconnect_timeout_s": "10"}
    command = Command([*words, "resources.run_on=ray"], folder, log, **soon)
    command.wait_for(lambda: snapshot(folder / part, ["pools"]), log)
    family = command.family()
    (victim,) = [process for process in family if process.name() == part]
    victim.kill()
    assert command.wait(LIMIT_S) == 1, log.read_text()
    time.sleep(1)  # the last word is another process's
    for process in family:  # without a raylet and a head some would stay for minutes
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert "Traceback" not in log.read_text()
    assert "Run the same command to go on." in log.read_text()
    again = Command([*words, "resources.run_on=here"], folder, log)
    assert again.wait(LIMIT_S) == 0, log.read_text()
    assert outcome(folder / part) == outcome(folder / "calm-run")
