import json
from types import SimpleNamespace

import pytest

from engine.errors import ConfigError
from engine.models import Model
from engine.nodes.room import Room
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.config import TrainConfig
from engine.study.load import load_study
from engine.study.resources import Resources
from engine.train.fleet import Fleet
from engine.train.placement import Group, layout, share_of_one
from engine.train.probe import heaviness, kept, that_fit
from engine.train.queue import Assignment, Finished, NoRun, Outcome, RunQueue, Worker
from engine.train.run_worker import RunWorker
from engine.train.trainer import Hardware


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


def test_a_rehearsal_leaves_nothing_behind(toy, store):
    (run,) = missing(toy, store, "factors.real=[10]", "repeats=1")
    bench = RunWorker(store)
    bench.rehearse(run, Hardware())
    assert not store.has(run.name)
    bench.do(run)
    fresh = RunWorker(store)
    assert store.document(run.name)["steps_done"] == run.config.steps
    before = store.document(run.name)["last_loss"]
    store.set_aside(run.name)
    fresh.do(run)
    assert store.document(run.name)["last_loss"] == before


class Named:
    def __init__(self, name, rows=8):
        self.name = name
        self.config = TrainConfig(steps=1, batch_size=rows)
        self.model = Model("place", None, "identity")


def given(run):
    return Assignment(run, None)


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
    assert queue.take(A, DONE) == NoRun.WAIT  # more may be asked for
    queue.close()
    assert [queue.take(A), queue.take(B, DONE), queue.take(C, DONE)] == [NoRun.END] * 3
    assert [one.run for one in queue.news()] == [longest, long, short]


def test_a_run_that_kills_its_worker_is_blamed_alone_and_other_groups_go_on():
    poison, *others = (Named(str(number)) for number in range(5))
    queue = closed(poison, *others)
    assert [queue.take(worker).run for worker in (A, B, C)] == [poison, others[0], others[1]]
    for worker in (A, B):  # their group died and starts anew
        queue.join(worker)
    assert [queue.take(A).run, queue.take(B).run] == others[2:]
    assert queue.take(A, DONE) == NoRun.WAIT  # a suspect has nothing beside it in its group
    assert queue.take(B, DONE) == given(poison)
    assert queue.take(A) == NoRun.WAIT
    assert queue.take(C, DONE) == given(others[0])  # another group may try another
    for again in (given(poison), Assignment(poison, 2, has_less=True)):
        for worker in (A, B):
            queue.join(worker)
        assert queue.take(A) == again
    for worker in (A, B):
        queue.join(worker)
    assert [queue.take(A), queue.take(C, DONE)] == [NoRun.END, NoRun.END]
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
    assert queue.take(A, DONE) == NoRun.END
    assert [one.failure for one in queue.news()] == [None, None]


def test_what_a_group_was_at_that_is_no_more_is_done_by_another():
    run, other = Named("run"), Named("other")
    queue = closed(run, other)
    queue.take(A)
    queue.release(A.group)
    assert queue.take(B) == NoRun.END  # a process that outlives its group for a moment
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
    assert queue.take(A) == Assignment(run, usual)
    assert queue.take(A, NO_MEMORY) == Assignment(run, less, has_less=True)
    assert queue.take(A, NO_MEMORY) == NoRun.END
    assert queue.news() == [Finished(run, 0.0, "no memory")]


def test_a_run_that_cannot_have_less_is_not_tried_again():
    run = Named("run", rows=32)
    queue = RunQueue(1)
    queue.want([run])
    queue.take(A)
    assert queue.take(A, NO_MEMORY) == NoRun.WAIT
    assert queue.news() == [Finished(run, 0.0, "no memory")]


@pytest.mark.parametrize(("room", "size"), [(None, 1), ("some", 8)])
def test_groups_are_whole_where_more_work_may_come(store, room, size):
    fleet, started = Fleet(store, Resources(), room), []
    fleet._layout = {0: Group("a", 8, {})}
    fleet._crew = SimpleNamespace(start=lambda group, duty: started.append(group.workers))
    fleet._queue = None
    fleet._start(1)
    assert started == [size]


def test_what_is_dropped_is_not_handed_out():
    queue = RunQueue()
    queue.want([Named("run"), Named("other")])
    queue.take(A)
    queue.drop()
    assert queue.take(A, DONE) == NoRun.END


def groups(nodes, probe=lambda: 1, **resources):
    """Return node and size of the groups that a cluster gets which is only thought of."""
    told = [
        {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}}
        for name, (cpus, gpus) in nodes.items()
    ]
    found = layout(Resources(**resources), Room(told), probe)
    return [(group.node, group.workers, group.needs.get("GPU", 0)) for group in found]


def test_each_node_has_a_group_of_its_own():
    two = {"a": (16, 0), "b": (4, 0)}
    assert groups(two) == [("a", 8, 0), ("b", 4, 0)]
    assert groups(two, fleet=3) == [("a", 3, 0)]
    assert groups(two, fleet=18) == [("a", 8, 0), ("a", 8, 0), ("b", 2, 0)]
    assert groups(two, fleet_cpus=4) == [("a", 4, 0), ("b", 1, 0)]


def test_those_that_train_together_are_a_group_on_one_node():
    two = {"a": (16, 5), "b": (16, 1)}
    assert groups(two, data_parallel=2) == [("a", 2, 1), ("a", 2, 1)]
    assert groups(two, data_parallel=4, fleet_gpus=0.5) == [("a", 4, 0.5)] * 2
    with pytest.raises(ConfigError, match="data_parallel is 6"):
        groups(two, data_parallel=6)


def test_gpus_are_shared_as_the_probe_says_unless_the_study_does():
    two = {"a": (32, 2), "b": (4, 0)}
    assert groups(two, probe=lambda: 3) == [("a", 6, 0.3333)]
    assert groups(two, probe=lambda: 8) == [("a", 8, 0.125)] * 2
    assert groups(two, probe=None, fleet_gpus=0.5) == [("a", 4, 0.5)]
    # so few workers leave no GPU idle
    assert groups(two, probe=lambda: 8, fleet=3) == [("a", 3, 0.5)]
    assert groups(two, probe=lambda: 8, fleet=2) == [("a", 2, 1.0)]


def test_a_gpu_is_shared_by_as_many_as_fit_with_something_to_spare():
    gib = 2**30
    assert that_fit(10 * gib, 80 * gib) == 7
    assert that_fit(1 * gib, 80 * gib) == 8
    assert that_fit(79 * gib, 80 * gib) == that_fit(90 * gib, 80 * gib) == 1
    shares = [share_of_one(workers) for workers in range(1, 9)]
    assert all(workers * share <= 1 for workers, share in enumerate(shares, 1))
    assert all(share > 1 / (workers + 1) for workers, share in enumerate(shares, 1))


def test_what_a_rehearsal_showed_is_kept_on_the_node(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    measured = iter([(3, 10), (4, 10), (5, 10)])
    assert kept("one", lambda: next(measured)) == (3, 10)
    assert kept("other", lambda: next(measured)) == (4, 10)
    assert kept("one", None) == (3, 10)
    (damaged,) = tmp_path.rglob("one.json")
    damaged.write_text("[3")
    assert kept("one", lambda: next(measured)) == (5, 10)
    assert kept("one", None) == (5, 10)


def test_a_run_is_as_heavy_as_its_model_its_sizes_and_its_longest_row(toy, store):
    def heavy(*overrides):
        (run,) = missing(toy, store, "factors.real=[10]", "repeats=1", *overrides)
        return heaviness(run)

    assert heavy() == heavy("train.steps=9") == heavy("train.learning_rate=0.5")
    for other in ("train.batch_size=4", "train.max_length=16", "train.lora_rank=2"):
        assert heavy() != heavy(other)
    (run,) = missing(toy, store, "factors.real=[10]", "repeats=1")
    longest = RunWorker(store).longest(run)
    rows = [json.loads(line) for line in (toy / "test.jsonl").read_text().splitlines()]
    assert longest.bit_count() == 1
    assert longest >= max(len(row["text"]) for row in rows)


ONE_GPU = Room([{"NodeID": "a", "Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}}])


class Recording:
    """A crew, and an executor, that only note what they are asked for."""

    def __init__(self):
        self.started = []

    def room(self):
        return ONE_GPU

    def nodes(self):
        return {"a"}

    def start(self, group, duty):
        self.started.append((group.workers, group.needs["GPU"]))


class NoQueue:
    def call(self, method, *args):
        pass


def recorded(store, resources, room=None):
    """Return a fleet on one GPU, and what groups it starts."""
    told = Recording()
    fleet = Fleet(store, resources, room, told)
    fleet._queue, fleet._crew = NoQueue(), told
    return fleet, told.started


def test_there_is_no_rehearsal_where_each_run_has_a_gpu(store, monkeypatch):
    monkeypatch.setattr("engine.train.fleet.workers_on_a_gpu", lambda *_: 4)
    for runs, room, started in (
        (1, None, [(1, 1.0)]),
        (3, None, [(3, 0.25)]),
        (1, ONE_GPU, [(4, 0.25)]),
    ):
        fleet, groups = recorded(store, Resources(), room)
        fleet.want([Named(str(number)) for number in range(runs)])
        assert groups == started


def test_workers_start_before_there_are_runs_unless_a_rehearsal_decides_how_many(
    store, monkeypatch
):
    monkeypatch.setattr("engine.train.fleet.workers_on_a_gpu", lambda *_: 2)
    fleet, groups = recorded(store, Resources(fleet_gpus=0.5), ONE_GPU)
    fleet.warm_up()
    assert groups == [(2, 0.5)]
    fleet.want([Named("run")])
    assert groups == [(2, 0.5)]
    fleet, groups = recorded(store, Resources(), ONE_GPU)
    fleet.warm_up()
    assert not groups
    fleet.want([Named("run")])
    assert groups == [(2, 0.5)]
