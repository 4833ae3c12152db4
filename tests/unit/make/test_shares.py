"""What generation and training each get of a cluster, where they work side by side."""

from types import SimpleNamespace

import pytest

from engine.errors import ConfigError
from engine.make.shares import shares
from engine.nodes.room import Room
from engine.plan.plan import make_plan
from engine.study.load import load_study
from engine.study.resources import Resources


def planned(toy, *overrides):
    return make_plan(load_study(toy / "study.toml", overrides))


def node(name, cpus, gpus=0):
    return {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}}


@pytest.fixture
def cluster(toy):
    """Divide clusters that are only thought of; return what engines and workers get."""
    pools = planned(toy).pools

    def divide(*nodes, engine="vllm", **resources):
        cluster = SimpleNamespace(room=lambda spared_cpus=0: Room(list(nodes), spared_cpus))
        for pool in pools:
            object.__setattr__(pool, "config", pool.config.model_copy(update={"engine": engine}))
        own, training = shares(cluster, Resources(**resources), pools)
        needs = {"CPU": 1, "GPU": 1 if any(one["Resources"]["GPU"] for one in nodes) else 0}
        return own and own.fits(needs), training and training.fits(needs)

    return divide


def test_few_cores_and_one_accelerator_are_used_in_turns(cluster):
    assert cluster(node("a", 2))[1] is None
    assert cluster(node("a", 16, 1))[1] is None
    assert cluster(node("a", 16, 2), replicas=2)[1] is None


def test_accelerators_are_split_where_both_have_their_own(cluster):
    assert cluster(node("a", 16, 2)) == ({"a": 1}, {"a": 1})
    assert cluster(node("a", 64, 8), replicas=5) == ({"a": 5}, {"a": 3})
    assert cluster(node("a", 64, 8), replicas=5, fleet=2)[1] == {"a": 2}
    assert cluster(node("a", 16, 4))[1] == {"a": 3}  # whatever CPUs each might take
    assert cluster(node("a", 16, 1), engine="openai") == ({"a": 0}, {"a": 1})


def test_many_cores_are_split_too(cluster):
    engines, workers = cluster(node("a", 16), engine="recorded")
    assert workers == {"a": 8}
    assert engines == {"a": 7}  # one is in part for judging
    assert cluster(node("a", 8), engine="recorded")[1] == {"a": 7}
    assert cluster(node("a", 7), engine="recorded")[1] is None
    assert cluster(node("a", 32), node("b", 32), engine="recorded")[1] == {"a": 8, "b": 8}


def test_what_trains_a_run_together_must_fit_beside_the_engines(cluster):
    wanted = {"data_parallel": 2, "fleet_gpus": 1}
    assert cluster(node("a", 16, 2), **wanted)[1] is None
    assert cluster(node("a", 16, 4), **wanted)[1] == {"a": 2}
    assert cluster(node("a", 16, 3), node("b", 16, 3), data_parallel=4)[1] is None
    with pytest.raises(ConfigError, match="no room"):
        cluster(node("a", 16, 3), node("b", 16, 3), data_parallel=4, share="split")


def test_engines_that_may_be_many_leave_room_only_if_asked_to(cluster):
    assert cluster(node("a", 64, 8), replicas=[1, 8])[1] is None
    assert cluster(node("a", 64, 8), replicas=[1, 8], share="split")[1] == {"a": 7}
