"""Training after generation, and beside it; and what each of the two gets of a cluster."""

import pytest

from engine.errors import ConfigError
from engine.make.demand import AT_LEAST
from engine.make.shares import shares
from engine.nodes import room
from engine.pipeline import run_study
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, *overrides):
    return make_plan(load_study(toy / "study.toml", overrides))


SMALL_AND_LARGE = ("factors.quantity=[100, 300]", "factors.real=[0]", "resources.fleet_cpus=0.5")


def test_conditions_are_trained_while_others_are_made(toy, store, ray_up):
    args = f'generate.engine_args={{folder = "{store.root}/runs", free = {AT_LEAST}}}'
    waits = ["generate.engine=plugged:Waiting", args]
    plan = planned(toy, *SMALL_AND_LARGE, *waits, "resources.share=split")
    heard = []
    try:
        findings = run_study(plan, store, heard.append)
    finally:
        print(*heard, sep="\n")  # shown if it fails
    assert findings.problems == []
    assert not survey(plan, store).missing()
    stages = [progress.stage for progress in heard if progress.done]
    assert stages.index("train") < len(stages) - 1 - stages[::-1].index("generate")


def test_in_turns_training_waits_for_the_last_row(toy, store, ray_up):
    plan = planned(toy, *SMALL_AND_LARGE, "generate.engine=plugged:Slow", "resources.share=turns")
    heard = []
    findings = run_study(plan, store, heard.append)
    assert findings.problems == []
    stages = [progress.stage for progress in heard if progress.done]
    assert stages.index("train") > len(stages) - 1 - stages[::-1].index("generate")


def test_no_room_for_both_is_refused_before_anything_is_made(toy, store, ray_up):
    plan = planned(toy, *SMALL_AND_LARGE, "resources.share=split", "resources.engine_cpus=1.5")
    with pytest.raises(ConfigError, match=r"no room .* Lower engine_cpus or fleet_cpus, or write"):
        run_study(plan, store, lambda _: None)
    assert not store.names("views")


def node(name, cpus, gpus=0):
    return {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}}


@pytest.fixture
def cluster(monkeypatch, toy):
    """Divide clusters that are only thought of; return what engines and workers get."""
    pools = planned(toy).pools

    def divide(*nodes, engine="vllm", **resources):
        monkeypatch.setattr(room, "_nodes", lambda: list(nodes))
        for pool in pools:
            object.__setattr__(pool, "config", pool.config.model_copy(update={"engine": engine}))
        own, training = shares(Resources(**resources), pools)
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
