"""What a study comes to is the same to the last bit, in one process and on Ray."""

import signal
import subprocess
import time

import pytest
from command import COMMAND, environment, textmill
from root_snapshot import outcome
from toy_study import make_toy

LIMIT_S = 300  # until a command that is to be killed has made something
HEAD = """
name = "toy"
task = "task.toml"
[generate]
engine = "recorded"
records = "records.jsonl"
[train]
trainer = "head"
model = "./model"
[diagnose]
model = "./model"
real = 10
[factors]
quantity = [0, 8, 24]
real = [0, 10]
"""
# an LLM of torch's, a second text that is made of a first, and classifiers that are fine-tuned
FEW_SHOT = """
name = "toy"
task = "demo-reviews"
repeats = 2
[generate]
engine = "transformers"
strategy = "few_shot"
max_tokens = 24
shots = 2
[train]
model = "./model"
steps = 8
batch_size = 8
learning_rate = 1e-3
precision = "float32"
[resources]
rows_per_call = 16
[factors]
quantity = [0, 30]
real = [0, 30]
"""
TOPICS = """
name = "toy"
task = "task.toml"
repeats = 2
[generate]
engine = "user_plugins:Listing"
strategy = "topic"
topics = {write = 8}
[curate]
filters = ["duplicate", "user_plugins:Unhurried"]
[train]
model = "./model"
steps = 6
batch_size = 8
learning_rate = 1e-3
precision = "float32"
[resources]
rows_per_call = 16
[factors]
quantity = [24, 64]
real = [0, 10]
"""
STUDIES = {"head": HEAD, "few_shot": FEW_SHOT, "topics": TOPICS}
EXECUTORS = ("here", "ray")


def words(name, executor, root):
    overrides = ["--set", f'resources.run_on="{executor}"', "--set", "resources.fleet=1"]
    return ["run", f"{name}.toml", "--root", root, *overrides]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    place = make_toy(tmp_path_factory.mktemp("same"), tiny_model)
    for name, text in STUDIES.items():
        (place / f"{name}.toml").write_text(text)
    return place


@pytest.fixture(scope="module")
def done(folder, ray_up):
    """Do a study on an executor, once; return what it came to."""
    known = {}

    def come_to(name, executor):
        if (name, executor) not in known:
            root = f"{name}-{executor}"
            said = textmill(*words(name, executor, root), folder=folder)
            assert said.returncode == 0, said.stderr
            place = {"here": "runs in this process", "ray": "runs on Ray"}[executor]
            assert place in said.stderr.splitlines()[0]
            known[name, executor] = outcome(folder / root)
        return known[name, executor]

    return come_to


@pytest.mark.parametrize("name", STUDIES)
def test_rows_scores_and_predictions_are_the_same(done, name):
    here, ray = (done(name, executor) for executor in EXECUTORS)
    assert here[0]
    assert here[2]
    assert here == ray


@pytest.mark.parametrize(("first", "then"), [EXECUTORS, EXECUTORS[::-1]])
def test_what_is_killed_on_one_goes_on_on_the_other(done, folder, first, then):
    root = folder / f"{first}-{then}"
    with (folder / f"{first}.log").open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, *words("topics", first, root.name)],
            cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    deadline = time.monotonic() + LIMIT_S
    while not list(root.glob("views/*/rows/*.parquet")):
        assert process.poll() is None, (folder / f"{first}.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(root.glob("studies/*/report.md"))
    said = textmill(*words("topics", then, root.name), folder=folder)
    assert said.returncode == 0, said.stderr
    assert outcome(root) == done("topics", then)
