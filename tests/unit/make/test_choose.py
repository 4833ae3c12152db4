"""Where a study's work is done, if it does not say so itself."""

import sys
from types import SimpleNamespace

import pytest

from engine.errors import ConfigError
from engine.make import choose as choosing
from engine.make.choose import choose, left_s
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources


@pytest.fixture
def machine(monkeypatch):
    """Choose on a machine that is only thought of."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))

    def on(cpus=2, gpus=0, seconds=0.0, **resources):
        monkeypatch.setattr(choosing, "cpus", lambda: cpus)
        monkeypatch.setattr(choosing, "gpus", lambda: gpus)
        monkeypatch.setattr(choosing, "left_s", lambda now: seconds)
        return choose(Resources(**resources), lambda: None)

    return on


def test_small_work_of_one_machine_is_done_here(machine):
    assert machine() == ("here", "2 CPUs and no GPU are soon shared out")
    assert machine(cpus=4, seconds=1e6).name == "here"
    assert machine(cpus=16) == ("here", "little work is left")


def test_much_work_on_many_cores_is_done_on_ray(machine):
    assert machine(cpus=16, seconds=1200) == ("ray", "16 CPUs share some 20 minutes of work")


def test_gpus_are_ray_s(machine):
    assert machine(gpus=1) == ("ray", "this machine has 1 GPU")
    assert machine(gpus=2).why == "this machine has 2 GPUs"


def test_a_cluster_that_is_named_or_up_is_used(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    assert machine() == ("ray", "one is up")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert machine() == ("ray", "RAY_ADDRESS names a cluster")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data_parallel", 2),
        ("engine_resources", {"place": 1}),
        ("fleet_resources", {"place": 1}),
        ("engine_accelerator", "H100"),
        ("fleet_accelerator", "H100"),
    ],
)
def test_what_ray_alone_can_do_takes_ray(machine, field, value):
    chosen = machine(**{field: value})
    assert chosen.name == "ray"
    assert f"resources.{field}" in chosen.why
    with pytest.raises(ConfigError, match=rf'run_on is "here", but resources\.{field} is'):
        machine(run_on="here", **{field: value})


@pytest.mark.parametrize("name", ["here", "ray"])
def test_a_study_that_says_so_is_obeyed(machine, monkeypatch, name):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert machine(cpus=64, gpus=8, run_on=name) == (name, "resources.run_on says so")


def test_what_is_left_grows_with_rows_and_steps(toy):
    def left(*overrides):
        plan = make_plan(load_study(toy / "study.toml", overrides))
        return left_s(survey(plan, Store.open(str(toy / "root"))))

    recorded = left()
    assert left("train.steps=600") == pytest.approx(100 * recorded)
    assert left("train.trainer=head") < recorded
    asked = ["task=demo-reviews", "generate.engine=transformers", "generate.max_tokens=100"]
    assert left(*asked) > recorded
    assert left(*asked, "factors.quantity=[24, 4800]") > 10 * left(*asked)
