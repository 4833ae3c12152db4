"""The driver is killed at random moments, or two drivers work at once: the result is the same."""

import random
import signal
import subprocess
import time

import pyarrow.parquet as pq
import pytest
from command import COMMAND, environment
from toy_study import make_toy

from engine.store import Store, is_leftover

LIMIT_S = 240
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
steps = 40
batch_size = 8
learning_rate = 1e-3
precision = "float32"
[resources]
rows_per_call = 32
[factors]
quantity = [0, 100, 300]
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
    process = start(slow_toy, "undisturbed")
    assert process.wait(LIMIT_S) == 0, said(slow_toy, "undisturbed")
    return outcome(slow_toy / "undisturbed")


def start(folder, root, log=None):
    """Start the study in a process of its own."""
    with (folder / f"{log or root}.log").open("ab") as sink:
        return subprocess.Popen(
            [*COMMAND, "run", "study.toml", "--root", root],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )


def said(folder, log):
    return (folder / f"{log}.log").read_text()


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


def committed(root, stage):
    """Count what a stage has committed."""
    pattern = {"generate": "pools/*/rows/*", "curate": "views/*/rows/*", "train": "runs/*"}[stage]
    return sum(not is_leftover(path) for path in root.glob(pattern))


def kill_within(process, root, stage, count):
    """Kill the driver a moment after a stage's ``count``-th commit; say whether it was alive."""
    deadline = time.monotonic() + LIMIT_S
    while committed(root, stage) < count and process.poll() is None:
        assert time.monotonic() < deadline, f"{stage} never committed {count} files"
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.25))
    was_alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return was_alive


def test_a_killed_driver_loses_and_doubles_nothing(slow_toy, undisturbed):
    root = slow_toy / "killed"
    # of about 18 segments, 18 segments and 10 runs, three moments each; those after a restart
    # count from what was there before
    moments = {"generate": (0, 4, 9), "curate": (0, 4, 9), "train": (0, 3, 6)}
    kills, seen = 0, {}
    for stage, counts in moments.items():
        for count in counts:
            wanted = max(count, committed(root, stage)) + random.randint(1, 2)
            kills += kill_within(start(slow_toy, "killed"), root, stage, wanted)
            assert {path: path.read_bytes() for path in seen} == seen
            files = [path for path in Store.open(str(root)).files(".") if path.suffix == ".parquet"]
            seen = {path: path.read_bytes() for path in files if not is_leftover(path)}
    assert kills >= 8, "the study ended too soon to be killed; make it slower"
    process = start(slow_toy, "killed")
    assert process.wait(LIMIT_S) == 0, said(slow_toy, "killed")
    assert outcome(root) == undisturbed


def test_two_commands_at_once_come_to_the_same(slow_toy, undisturbed):
    first, second = start(slow_toy, "both", "first"), start(slow_toy, "both", "second")
    statuses = [first.wait(LIMIT_S), second.wait(LIMIT_S)]
    assert statuses == [0, 0], said(slow_toy, "first") + said(slow_toy, "second")
    assert outcome(slow_toy / "both") == undisturbed


def test_an_interrupted_command_says_how_to_go_on(slow_toy):
    for stage in ("generate", "train"):
        process = start(slow_toy, "interrupted")
        root = slow_toy / "interrupted"
        while committed(root, stage) < 1:
            assert process.poll() is None, said(slow_toy, "interrupted")
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, said(slow_toy, "interrupted")
        assert said(slow_toy, "interrupted").rstrip().endswith("run the same command to continue")
        assert "Traceback" not in said(slow_toy, "interrupted")
