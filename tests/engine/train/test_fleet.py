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
from engine.models import Model
from engine.nodes import room
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.config import TrainConfig
from engine.study.load import load_study
from engine.study.resources import Resources
from engine.train.fleet import Fleet, train_fleet
from engine.train.placement import Group, layout, share_of_one
from engine.train.probe import that_fit
from engine.train.queue import Finished, Given, Outcome, RunQueue, Worker
from engine.train.trainer import How
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


def test_a_worker_that_is_killed_twice_costs_no_run(toy, store, tmp_path, ray_up):
    runs = missing(toy, store, "train.steps=200")
    killed = []

    def kill_two():
        for made in (1, 3):
            while len(store.names("runs")) < made:
                time.sleep(0.01)
            pid = next(pid for pid in training_workers() if pid not in killed)
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_two, daemon=True)
    killer.start()
    heard = []
    train_fleet(runs, store, Resources(fleet_cpus=0.5), heard.append)
    assert len(killed) == 2
    assert sorted(one.run.name for one in heard) == sorted(run.name for run in runs)
    assert all(one.failure is None for one in heard)
    undisturbed = Store.open(str(tmp_path / "undisturbed"))
    bench = Workbench(undisturbed)
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
    bench = Workbench(alone)
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


def test_a_rehearsal_leaves_nothing_behind(toy, store):
    (run,) = missing(toy, store, "factors.real=[10]", "repeats=1")
    bench = Workbench(store)
    bench.rehearse(run, How())
    assert not store.has(run.name)
    bench.do(run)
    fresh = Workbench(store)
    assert store.document(run.name)["steps_done"] == run.config.steps
    before = store.document(run.name)["last_loss"]
    store.set_aside(run.name)
    fresh.do(run)
    assert store.document(run.name)["last_loss"] == before


def test_what_does_not_fit_the_cluster_is_refused_and_not_waited_for(toy, store, ray_up):
    runs = missing(toy, store)
    for where in (Resources(fleet_cpus=64), Resources(fleet_gpus=1)):
        with pytest.raises(ConfigError, match=r"resources\.fleet_cpus, .* ask for"):
            train_fleet(runs, store, where, print)
    with pytest.raises(ConfigError, match="so many workers must fit on one node"):
        train_fleet(runs, store, Resources(data_parallel=3), print)


class Named:
    def __init__(self, name, rows=8):
        self.name = name
        self.config = TrainConfig(steps=1, batch_size=rows)
        self.model = Model("place", None, "identity")


def given(run):
    return Given(run, None)


DONE = Outcome(1.0)
A, B = Worker(1, 0), Worker(1, 1)  # of one group
C = Worker(2, 0)


def closed(*runs):
    queue = RunQueue()
    queue.want(runs)
    queue.close()
    return queue


def test_the_longest_runs_go_first_whenever_they_were_asked_for():
    short, long, longest = (Named(str(rows), rows) for rows in (4, 16, 64))
    queue = RunQueue()
    queue.want([short, long])
    queue.want([longest])
    assert [queue.take(worker).run for worker in (A, B, C)] == [longest, long, short]
    assert queue.take(A, DONE) == "wait"  # more may be asked for
    queue.close()
    assert [queue.take(A), queue.take(B, DONE), queue.take(C, DONE)] == ["end"] * 3
    assert [one.run for one in queue.news()] == [longest, long, short]


def test_a_run_that_kills_its_worker_is_blamed_alone_and_other_groups_go_on():
    poison, *others = (Named(str(number)) for number in range(5))
    queue = closed(poison, *others)
    assert [queue.take(worker).run for worker in (A, B, C)] == [poison, others[0], others[1]]
    for worker in (A, B):  # their group died and starts anew
        queue.join(worker)
    assert [queue.take(A).run, queue.take(B).run] == others[2:]
    assert queue.take(A, DONE) == "wait"  # a suspect has nothing beside it in its group
    assert queue.take(B, DONE) == given(poison)
    assert queue.take(A) == "wait"
    assert queue.take(C, DONE) == given(others[0])  # another group may try another
    for again in (given(poison), Given(poison, 2, has_less=True)):
        for worker in (A, B):
            queue.join(worker)
        assert queue.take(A) == again
    for worker in (A, B):
        queue.join(worker)
    assert [queue.take(A), queue.take(C, DONE)] == ["end", "end"]
    news = {one.run.name: one.failure for one in queue.news()}
    assert "died again and again" in news.pop("0")
    assert news == dict.fromkeys("1234")


def test_a_run_is_not_blamed_for_one_death_beside_others_and_one_alone():
    run, other = Named("run"), Named("other")
    queue = closed(run, other)
    for worker in (A, B):
        queue.take(worker)
    for worker in (A, B):
        queue.join(worker)
    assert queue.take(A) == given(run)
    queue.join(A)
    assert [queue.take(A), queue.take(A, DONE)] == [given(other), given(run)]  # as it was
    assert queue.take(A, DONE) == "end"
    assert [one.failure for one in queue.news()] == [None, None]


def test_what_a_group_was_at_that_is_no_more_is_done_by_another():
    run, other = Named("run"), Named("other")
    queue = closed(run, other)
    queue.take(A)
    queue.release(A.group)
    assert queue.take(B) == "end"  # a process that outlives its group for a moment
    assert [queue.take(C), queue.take(C, DONE)] == [given(other), given(run)]


NO_MEMORY = Outcome(0.0, "no memory", wants_memory=True)


@pytest.mark.parametrize(("usual", "workers", "less"), [(None, 1, 8), (None, 4, 2), (6, 1, 1)])
def test_a_run_for_which_memory_does_not_suffice_is_tried_once_more_with_less_at_a_time(
    usual, workers, less
):
    run = Named("run", rows=32)
    queue = RunQueue(usual, workers)
    queue.want([run])
    queue.close()
    assert queue.take(A) == Given(run, usual)
    assert queue.take(A, NO_MEMORY) == Given(run, less, has_less=True)
    assert queue.take(A, NO_MEMORY) == "end"
    assert queue.news() == [Finished(run, 0.0, "no memory")]


def test_a_run_that_cannot_have_less_is_not_tried_again():
    run = Named("run", rows=32)
    queue = RunQueue(1)
    queue.want([run])
    queue.take(A)
    assert queue.take(A, NO_MEMORY) == "wait"
    assert queue.news() == [Finished(run, 0.0, "no memory")]


@pytest.mark.parametrize(("room", "size"), [(None, 1), ("some", 8)])
def test_groups_are_whole_where_more_work_may_come(monkeypatch, store, room, size):
    fleet, started = Fleet(store, Resources(), room), []
    fleet._layout = {0: Group("a", 8, {})}
    monkeypatch.setattr(fleet, "_keep_up", lambda group: started.append(group.workers))
    fleet._start(1)
    assert started == [size]


def test_what_is_dropped_is_not_handed_out():
    queue = RunQueue()
    queue.want([Named("run"), Named("other")])
    queue.take(A)
    queue.drop()
    assert queue.take(A, DONE) == "end"


def groups(monkeypatch, nodes, probe=lambda: 1, **resources):
    """Return node and size of the groups that a cluster gets which is only thought of."""
    told = [
        {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}}
        for name, (cpus, gpus) in nodes.items()
    ]
    monkeypatch.setattr(room, "_nodes", lambda: told)
    found = layout(Resources(**resources), room.Room(), probe)
    return [(group.node, group.workers, group.needs.get("GPU", 0)) for group in found]


def test_each_node_has_a_group_of_its_own(monkeypatch):
    two = {"a": (16, 0), "b": (4, 0)}
    assert groups(monkeypatch, two) == [("a", 8, 0), ("b", 4, 0)]
    assert groups(monkeypatch, two, fleet=3) == [("a", 3, 0)]
    assert groups(monkeypatch, two, fleet=18) == [("a", 8, 0), ("a", 8, 0), ("b", 2, 0)]
    assert groups(monkeypatch, two, fleet_cpus=4) == [("a", 4, 0), ("b", 1, 0)]


def test_those_that_train_together_are_a_group_on_one_node(monkeypatch):
    two = {"a": (16, 5), "b": (16, 1)}
    assert groups(monkeypatch, two, data_parallel=2) == [("a", 2, 1), ("a", 2, 1)]
    assert groups(monkeypatch, two, data_parallel=4, fleet_gpus=0.5) == [("a", 4, 0.5)] * 2
    with pytest.raises(ConfigError, match="data_parallel is 6"):
        groups(monkeypatch, two, data_parallel=6)


def test_gpus_are_shared_as_the_probe_says_unless_the_study_does(monkeypatch):
    two = {"a": (32, 2), "b": (4, 0)}
    assert groups(monkeypatch, two, probe=lambda: 3) == [("a", 6, 0.3333)]
    assert groups(monkeypatch, two, probe=lambda: 8) == [("a", 8, 0.125)] * 2
    assert groups(monkeypatch, two, probe=None, fleet_gpus=0.5) == [("a", 4, 0.5)]
    # so few workers leave no GPU idle
    assert groups(monkeypatch, two, probe=lambda: 8, fleet=3) == [("a", 3, 0.5)]
    assert groups(monkeypatch, two, probe=lambda: 8, fleet=2) == [("a", 2, 1.0)]


def test_a_gpu_is_shared_by_as_many_as_fit_with_something_to_spare():
    gib = 2**30
    assert that_fit(10 * gib, 80 * gib) == 7
    assert that_fit(1 * gib, 80 * gib) == 8
    assert that_fit(79 * gib, 80 * gib) == that_fit(90 * gib, 80 * gib) == 1
    shares = [share_of_one(workers) for workers in range(1, 9)]
    assert all(workers * share <= 1 for workers, share in enumerate(shares, 1))
    assert all(share > 1 / (workers + 1) for workers, share in enumerate(shares, 1))
