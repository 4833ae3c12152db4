"""What would break a study is named before it costs, with what helps."""

import pytest

from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.load import load_study
from jobs.doctor.doctor import judge, versions
from jobs.doctor.table import Facts, Gpu, Node

GIB = 2**30
SOUND = Facts(
    host="one",
    versions=versions(),
    gpus=[],
    memory=(8 * GIB, 16 * GIB),
    shm=4 * GIB,
    disk=100 * GIB,
    root_error=None,
    sees_mark=True,
    unreachable={},
    clock=0.0,
)


def node(gpus=0.0, skew_s=0.0, name="10.0.0.1", **facts):
    return Node(name, False, gpus, SOUND._replace(**facts), skew_s)


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


@pytest.fixture
def said(store):
    """Return what is found about nodes, a line each."""

    def find(*nodes, plan=None):
        return [f"{one.weight}: {one.text}" for one in judge(nodes, versions(), plan, store)]

    return find


def test_a_sound_cluster_is_ready(said):
    assert said(node(), node(name="10.0.0.2")) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"versions": {**SOUND.versions, "ray": "2.9.0"}},
            "problem: 10.0.0.1 has ray 2.9.0; it is",
        ),
        ({"versions": {**SOUND.versions, "python": "3.9.1"}}, "problem: 10.0.0.1 has python"),
        ({"versions": {**SOUND.versions, "torch": "2.1.0"}}, "note: 10.0.0.1 has torch 2.1.0"),
        ({"versions": {**SOUND.versions, "datasets": None}}, "datasets not at all"),
        ({"root_error": "The root /x cannot be written"}, "problem: From 10.0.0.1: The root /x"),
        ({"sees_mark": False}, "another folder of that name"),
        ({"disk": GIB // 2}, "0.5 GiB of disk left"),
        ({"skew_s": -70.0}, "note: The clock of 10.0.0.1 is off by -70 s"),
        ({"gpus": 2.0}, "counts 2 GPUs, but nvidia-smi shows none"),
    ],
)
def test_what_is_wrong_with_a_node_is_named(said, wrong, words):
    (line,) = said(node(**wrong))
    assert words in line


def test_a_patch_of_python_and_packages_that_not_all_need_may_differ(said):
    older = {**SOUND.versions, "python": "3.11.0", "vllm": None, "s3fs": None}
    assert said(node(versions=older)) == []


def test_a_study_says_what_its_nodes_need(said, toy):
    changes = ['generate.engine="vllm"', 'generate.model="textmill-demo"']
    changes += ["resources.tensor_parallel=2"]
    study = toy / "study.toml"
    study.write_text(study.read_text().replace('task = "task.toml"', 'task = "demo-reviews"'))
    plan = make_plan(load_study(study, changes))
    lacking = {**SOUND.versions, "vllm": None}
    gpu = [Gpu("H100", 80_000, 81_559)]
    # engines go to the nodes with GPUs; the other needs no vllm
    found = said(
        node(versions=lacking),
        Node("10.0.0.2", False, 1.0, SOUND._replace(versions=lacking, gpus=gpu, shm=0)),
        plan=plan,
    )
    assert [line.split(". ")[0] for line in found] == [
        "problem: 10.0.0.2 has no vllm, which the study's engine is",
        "problem: 10.0.0.2 has 0.0 GiB in /dev/shm, through which the parts of an engine talk",
    ]
