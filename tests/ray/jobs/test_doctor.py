"""``textmill doctor``, whole: it looks at this machine."""

import json

import pytest
from command import textmill

from engine.errors import RootError
from engine.store.store import Store
from jobs.doctor.doctor import look_at_nodes


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def test_this_machine_is_looked_at(toy, ray_up):
    done = textmill("doctor", "study.toml", "--root", "root", folder=toy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 node, root" in done.stdout
    assert "shared" in done.stdout
    assert done.stdout.rstrip().endswith("Ready.")
    assert not list((toy / "root").iterdir())  # it leaves nothing behind


def test_what_is_wrong_ends_in_status_1(toy, ray_up):
    words = ["doctor", "study.toml", "--root", "root", "--json"]
    words += ["--set", "resources.fleet_cpus=64"]
    done = textmill(*words, "--against", '{"ray": "2.9.0"}', folder=toy)
    assert done.returncode == 1, done.stdout
    found = json.loads(done.stdout)
    assert [one["weight"] for one in found["findings"]] == ["problem", "problem"]
    assert "it is 2.9.0 here" in found["findings"][0]["text"]
    assert "64 CPU" in found["findings"][1]["text"]
    assert found["nodes"][0]["facts"]["sees_mark"]


def test_no_node_is_blamed_for_what_the_driver_could_not_write(store, monkeypatch, ray_up):
    def refuse(self):
        raise RootError("The root cannot be written")

    monkeypatch.setattr(Store, "probe", refuse)  # of this process alone
    found = []
    (one,) = look_at_nodes(store, {}, found)
    assert one.facts.sees_mark
    assert [finding.text for finding in found] == ["From the driver: The root cannot be written"]


def test_a_study_that_is_wrong_is_a_problem_among_others(toy, ray_up):
    done = textmill("doctor", "none.toml", "--root", "root", folder=toy)
    assert done.returncode == 1
    assert "problem: The study cannot be planned" in done.stdout
