import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from transformers import pipeline

from engine.errors import ConfigError
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources
from engine.train.fleet import train_fleet
from engine.train.run_worker import RunWorker


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def missing(toy, store, *overrides):
    """Return the runs on real rows alone of a study, which need no generation."""
    real = ["factors.quantity=[0]", "factors.real=[10, 20, 30]", *overrides]
    plan = make_plan(load_study(toy / "study.toml", real))
    for rows in plan.inputs():
        rows.publish(store)
    return survey(plan, store).missing()


def predictions(store, runs):
    return {run.name: store.document(run.name)["splits"]["test"]["predictions"] for run in runs}


def descendants(pid):
    """Yield the process ids below ``pid``."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from descendants(int(child))


def processes(title):
    for pid in descendants(os.getpid()):
        try:
            if title in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield pid
        except FileNotFoundError:
            continue


def test_every_run_is_made_once_and_one_that_fails_stops_no_other(toy, store, ray_up):
    rates = ["factors.train.learning_rate=[1e-3, 1.0]", "train.max_grad_norm=1e30"]
    runs = missing(toy, store, *rates, "train.weight_decay=1e30", "factors.real=[10]")
    tame = [*missing(toy, store), *missing(toy, store, "train.trainer=head")]
    heard = []
    train_fleet([*runs, *tame], store, Resources(fleet_cpus=0.5), heard.append)
    assert sorted(one.run.name for one in heard) == sorted(run.name for run in [*runs, *tame])
    failed = {one.run.name: one.failure for one in heard if one.failure}
    assert failed
    assert all("the loss was" in reason for reason in failed.values())
    assert not failed.keys() & {run.name for run in tame}
    made = {run.name.removeprefix("runs/") for run in [*runs, *tame] if run.name not in failed}
    assert set(store.names("runs")) == made
    while list(processes(b"TrainController")):  # it ends with its fleet
        time.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_worker_that_is_killed_twice_costs_no_run(workers, toy, store, tmp_path, ray_up):
    runs = missing(toy, store, "train.steps=200")
    killed = []

    def kill_two():
        for made in (1, 3):
            while len(store.names("runs")) < made:
                time.sleep(0.01)
            pid = next(pid for pid in processes(b"TrainWorker") if pid not in killed)
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_two, daemon=True)
    killer.start()
    heard = []
    train_fleet(runs, store, Resources(fleet_cpus=0.5, fleet=workers), heard.append)
    assert len(killed) == 2
    assert sorted(one.run.name for one in heard) == sorted(run.name for run in runs)
    assert all(one.failure is None for one in heard)
    undisturbed = Store.open(str(tmp_path / "undisturbed"))
    bench = RunWorker(undisturbed)
    torch.set_num_threads(1)  # as in the fleet: other threads, other rounding
    for run in missing(toy, undisturbed, "train.steps=200"):
        bench.do(run)
    assert predictions(store, runs) == predictions(undisturbed, runs)


def test_workers_that_train_a_run_together_come_to_the_same(toy, store, tmp_path, ray_up):
    runs = missing(toy, store, "train.steps=12", "factors.real=[30]")
    wild = missing(
        toy, store, "factors.real=[10]", "repeats=1",
        "train.learning_rate=1.0", "train.max_grad_norm=1e30", "train.weight_decay=1e30",
    )  # fmt: skip
    plain = missing(toy, store, "factors.real=[10]", "train.trainer=head")
    heard = []
    where = Resources(fleet_cpus=0.5, data_parallel=2, micro_batch=4)
    train_fleet([*runs, *wild, *plain], store, where, heard.append)
    failed = {one.run.name: one.failure for one in heard if one.failure}
    assert list(failed) == [run.name for run in wild]
    assert "the loss was" in failed[wild[0].name]
    alone = Store.open(str(tmp_path / "alone"))
    bench = RunWorker(alone)
    for run in missing(toy, alone, "train.steps=12", "factors.real=[30]"):
        bench.do(run)
    for run in runs:
        together, by_itself = (own.document(run.name) for own in (store, alone))
        assert (together["workers"], by_itself["workers"]) == (2, 1)
        assert together["last_loss"] == pytest.approx(by_itself["last_loss"], rel=0.02)
        said = [own["splits"]["test"]["predictions"] for own in (together, by_itself)]
        assert sum(one == other for one, other in zip(*said, strict=True)) >= 0.95 * len(said[0])
    assert all(store.has(run.name) for run in plain)


def test_classifiers_are_kept_when_asked_for(toy, store, ray_up):
    runs = missing(toy, store, "factors.real=[10]", "repeats=1")
    train_fleet(runs, store, Resources(keep_models=True), lambda one: None)
    folder = Path(store.root) / runs[0].model_folder
    classify = pipeline("text-classification", str(folder), device="cpu")
    tests = [json.loads(line) for line in (toy / "test.jsonl").read_text().splitlines()]
    said = [one["label"] for one in classify([row["text"] for row in tests])]
    predicted = store.document(runs[0].name)["splits"]["test"]["predictions"]
    assert said == [["bad", "good"][number] for number in predicted]


def test_what_does_not_fit_the_cluster_is_refused_and_not_waited_for(toy, store, ray_up):
    runs = missing(toy, store)
    for where in (Resources(fleet_cpus=64), Resources(fleet_gpus=1)):
        with pytest.raises(ConfigError, match=r"resources\.fleet_cpus, .* ask for"):
            train_fleet(runs, store, where, print)
    with pytest.raises(ConfigError, match="so many workers must fit on one node"):
        train_fleet(runs, store, Resources(data_parallel=3), print)
