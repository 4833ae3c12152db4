"""Training after generation, and beside it."""

import pytest

from engine.errors import ConfigError
from engine.make.demand import AT_LEAST
from engine.pipeline import run_study
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.load import load_study


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, *overrides):
    return make_plan(load_study(toy / "study.toml", [*overrides, "resources.run_on=ray"]))


SMALL_AND_LARGE = ("factors.quantity=[100, 300]", "factors.real=[0]", "resources.fleet_cpus=0.5")


def test_conditions_are_trained_while_others_are_made(toy, store, ray_up):
    args = f'generate.engine_args={{folder = "{store.root}/runs", free = {AT_LEAST}}}'
    waits = ["generate.engine=user_plugins:Waiting", args]
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
    plan = planned(
        toy, *SMALL_AND_LARGE, "generate.engine=user_plugins:Slow", "resources.share=turns"
    )
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
