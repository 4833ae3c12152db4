"""Nodes are lost and join while a study is done: the result is that of an undisturbed one."""

import os
import subprocess
import time

import pytest
from command import COMMAND, environment, textmill_alone
from root_snapshot import outcome
from toy_study import make_toy

LIMIT_S = 600  # of each wait: nodes are processes that start, and there are many
STUDY = """
name = "toy"
task = "task.toml"
repeats = 4
[generate]
engine = "node_plugins:Engine"
[train]
model = "./model"
trainer = "node_plugins:Training"
steps = 150
batch_size = 8
learning_rate = 1e-3
precision = "float32"
[resources]
rows_per_call = 32
replicas = 3
engine_resources = {place = 1}
fleet_resources = {place = 0.5}
share = "turns"
[factors]
quantity = [0, 400, 800]
real = [0, 10]
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A head without work for the study, and two nodes with a place for an engine each."""
    from ray.cluster_utils import Cluster

    # what runs on a node has the environment that the node was started in
    mine = environment(ASKED=str(tmp_path / "asked"), TRAINED=str(tmp_path / "trained"))
    for name in ("PYTHONPATH", "ASKED", "TRAINED"):
        monkeypatch.setenv(name, mine[name])
    monkeypatch.setenv("PAUSE", "0.1")  # so that what joins in between is in time
    head = {
        "num_cpus": 1,
        "include_dashboard": False,
        "object_store_memory": 2 * 10**8,
        "_system_config": {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 1000,
            "health_check_failure_threshold": 3,
        },
    }
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    made.shutdown()


def join(cluster):
    return cluster.add_node(num_cpus=1, object_store_memory=10**8, resources={"place": 1})


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def wait_for(process, what, log):
    """Wait until something is so; a command that ends before has failed."""
    deadline = time.monotonic() + LIMIT_S
    while not what():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.mark.long
def test_a_study_goes_on_with_what_is_left_and_takes_what_joins(tmp_path, tiny_model, cluster):
    folder = make_toy(tmp_path, tiny_model)
    (folder / "study.toml").write_text(STUDY)
    asked, trained, log = folder / "asked", folder / "trained", folder / "log"
    nodes = [join(cluster) for _ in range(2)]
    cluster.wait_for_nodes()
    words = [*COMMAND, "run", "study.toml", "--root", "root"]
    there = environment(RAY_ADDRESS=cluster.address)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            words, cwd=folder, env=there, stdout=sink, stderr=subprocess.STDOUT
        )
    with process:
        # generating: one of two engines' nodes is lost, and two others join
        wait_for(process, lambda: len(set(lines(asked))) == 2, log)
        cluster.remove_node(nodes[0], allow_graceful=False)
        joined = [join(cluster), join(cluster)]
        wait_for(process, lambda: len(set(lines(asked))) == 4, log)
        # training: the same
        wait_for(process, lambda: len(set(lines(trained))) >= 2, log)
        cluster.remove_node(joined[0], allow_graceful=False)
        last = join(cluster)
        wait_for(process, lambda: last.node_id in lines(trained), log)
        assert process.wait(LIMIT_S) == 0, log.read_text()
    calm = ["--set", "resources.engine_resources={}", "--set", "resources.fleet_resources={}"]
    calm += ["--root", "calm", "--set", "resources.run_on=ray"]
    nowhere = {"ASKED": os.devnull, "TRAINED": os.devnull, "PAUSE": "0"}
    done = textmill_alone("run", "study.toml", *calm, folder=folder, **nowhere)
    assert done.returncode == 0, done.stderr
    assert outcome(folder / "root") == outcome(folder / "calm")
