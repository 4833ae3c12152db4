import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from engine.errors import ConfigError
from engine.plan import make_plan
from engine.store import Store
from engine.study.config import Resources
from engine.study.load import load_study
from engine.survey import survey
from engine.train.fleet import RunQueue, train_fleet
from engine.train.workbench import Workbench


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


def training_workers():
    for pid in descendants(os.getpid()):
        try:
            if b"TrainWorker" in Path(f"/proc/{pid}/cmdline").read_bytes():
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


def test_a_worker_that_is_killed_costs_no_run(toy, store, tmp_path, ray_up):
    runs = missing(toy, store, "train.steps=200")
    killed = []

    def kill_one():
        while not store.names("runs"):
            time.sleep(0.01)
        killed.extend(list(training_workers())[:1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    heard = []
    train_fleet(runs, store, Resources(fleet_cpus=0.5), heard.append)
    assert killed
    assert sorted(one.run.name for one in heard) == sorted(run.name for run in runs)
    assert all(one.failure is None for one in heard)
    undisturbed = Store.open(str(tmp_path / "undisturbed"))
    bench = Workbench(undisturbed)
    torch.set_num_threads(1)  # as in the fleet: other threads, other rounding
    for run in missing(toy, undisturbed, "train.steps=200"):
        bench.do(run)
    assert predictions(store, runs) == predictions(undisturbed, runs)


def test_what_does_not_fit_the_cluster_is_refused_and_not_waited_for(toy, store, ray_up):
    runs = missing(toy, store)
    for where in (Resources(fleet_cpus=64), Resources(fleet_gpus=1)):
        with pytest.raises(ConfigError, match=r"resources\.fleet_cpus and fleet_gpus ask for"):
            train_fleet(runs, store, where, print)


class Named:
    def __init__(self, name):
        self.name = name


def test_a_run_that_kills_its_worker_is_blamed_alone():
    poison, *others = (Named(str(number)) for number in range(4))
    queue = RunQueue([poison, *others])
    assert (queue.take(0), queue.take(1)) == (poison, others[0])
    for rank in (0, 1):  # the group died and starts anew
        queue.start(rank)
    assert (queue.take(0), queue.take(1)) == (others[1], others[2])
    queue.finish(0, 1.0, None)
    assert queue.take(0) == "wait"
    queue.finish(1, 1.0, None)
    assert (queue.take(0), queue.take(1)) == (poison, "wait")
    for rank in (0, 1):
        queue.start(rank)
    assert queue.take(1) is others[0]
    queue.finish(1, 1.0, None)
    assert (queue.take(0), queue.take(1)) == ("end", "end")
    news = {one.run.name: one.failure for one in queue.news()}
    assert "died twice" in news.pop("0")
    assert news == {"1": None, "2": None, "3": None}
