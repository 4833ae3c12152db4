"""The driver is killed at random moments, or two drivers work at once: the result is the same."""

import random
import shutil
import signal
import subprocess
import time

import pyarrow.parquet as pq
import pytest
from command import COMMAND, environment, textmill
from toy_study import make_toy

from engine.store import Store, is_leftover

LIMIT_S = 240
KILLS, LONG_KILLS = 1, 3  # in each stage
TRIES = 9  # to hit a stage so often; a driver may have gone on to the next one
STAGES = {"generate": "pools", "curate": "views", "train": "runs"}
SLOW_STUDY = """
name = "toy"
task = "task.toml"
repeats = 2
[generate]
engine = "plugged:Slow"
[curate]
filters = ["duplicate", "plugged:Unhurried"]
[train]
model = "./model"
steps = 60
batch_size = 8
learning_rate = 1e-3
precision = "float32"
[resources]
rows_per_call = 32
fleet = 1
[factors]
quantity = [0, 100, 400]
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


def start(folder, root, log):
    """Start the study in a process of its own, which says what it does in the file ``log``."""
    with (folder / log).open("wb") as sink:
        return subprocess.Popen(
            [*COMMAND, "run", "study.toml", "--root", root],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )


def finish(folder, root):
    process = start(folder, root, f"{root}.log")
    assert process.wait(LIMIT_S) == 0, (folder / f"{root}.log").read_text()


def outcome(root):
    """Return all generated and judged rows, and all scores: what must not depend on any fault."""
    store = Store.open(str(root))
    tables = {}
    for stage in ("pools", "views"):
        for path in store.files(stage):
            if path.suffix == ".parquet" and not is_leftover(path):
                name = path.relative_to(root).as_posix()
                tables[name] = store.table(name).table.to_pylist()
    results = pq.read_table(root / "studies" / "toy" / "results.parquet").to_pylist()
    predictions = {
        f"runs/{name}": store.document(f"runs/{name}")["splits"] for name in store.names("runs")
    }
    return tables, [{**row, "train_seconds": None} for row in results], predictions


def committed(root, *folders):
    """Return every file that is never to change, with its bytes."""
    store = Store.open(str(root))
    paths = [path for folder in folders for path in store.files(folder) if not is_leftover(path)]
    return {path: path.read_bytes() for path in paths}


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
        has_begun = f"{stage}: 0 of" in log.read_text()
        if has_begun and (len(committed(folder / root, commits)) > before or not wait_for_commit):
            break
        time.sleep(0.02)
    time.sleep(random.uniform(0, 0.3))
    later = list(STAGES)[list(STAGES).index(stage) + 1 :]
    said = log.read_text()
    is_on = process.poll() is None and not any(f"{one}: 0 of" in said for one in later)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return is_on


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_driver_loses_and_doubles_nothing(slow_toy, undisturbed, stage, pytestconfig):
    root, kills = slow_toy / stage, LONG_KILLS if pytestconfig.getoption("--long") else KILLS
    ahead_of(stage, slow_toy / "undisturbed", root)
    hits, seen = 0, committed(root, *STAGES.values())
    for _ in range(TRIES):
        if kill_during(stage, slow_toy, stage):
            hits += 1
        else:  # the dead driver's workers, which live on for a while, had finished the stage
            ahead_of(stage, slow_toy / "undisturbed", root)
            seen = {}
        now = committed(root, *STAGES.values())
        assert {path: now.get(path) for path in seen} == seen
        seen = now
        if hits == kills:
            break
    assert hits == kills
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
    root = slow_toy / f"interrupted-{stage}"
    ahead_of(stage, slow_toy / "undisturbed", root)
    log = slow_toy / "interrupted.log"
    process = start(slow_toy, root.name, log.name)
    while not committed(root, STAGES[stage]):
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 130, log.read_text()
    assert log.read_text().rstrip().endswith("interrupted; run the same command to continue")
    assert "Traceback" not in log.read_text()
