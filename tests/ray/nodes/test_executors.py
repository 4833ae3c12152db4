"""The contract of executors, on both: what is done in one process is done on Ray alike."""

import os
import shutil
import time
from collections import Counter as Tally

import pytest
from breaking_engines import DIES_AT, notes
from executor_parts import Counter, Gate, add_often, check_threads, double

from engine.errors import DamagedError, EngineLostError
from engine.generate.events import GivenUp, Lost, Made
from engine.generate.generation import Generation, Lease
from engine.nodes.apart import Apart
from engine.nodes.executor import Needs, running
from engine.nodes.here import HERE
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.steps.pool import Want
from engine.store.segments import grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources
from engine.train.fleet import Fleet

ROWS = 128  # of each of the two labels


@pytest.fixture(params=["here", "ray"])
def executor(request):
    if request.param == "here":
        return HERE
    request.getfixturevalue("ray_up")
    return running()


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def test_a_service_takes_calls_in_turns_and_raises_what_its_methods_raise(executor):
    service = executor.service(Counter, 40)
    replies = [service.send("add", 1) for _ in range(50)]
    assert sorted(reply.result() for reply in replies) == list(range(41, 91))
    with pytest.raises(DamagedError, match="cut short"):
        service.call("fail")
    assert service.call("add", 0) == 90


def test_a_call_may_wait_for_another(executor):
    gate = executor.service(Gate)
    waiting = [gate.send("wait") for _ in range(3)]
    gate.call("open")
    assert [reply.result() for reply in waiting] == ["through"] * 3


def test_a_service_is_called_from_tasks(executor):
    service = executor.service(Counter, 0)
    tasks = executor.tasks(add_often, Needs(0.5))
    begun = [tasks.begin(service, 20) for _ in range(3)]
    done = []
    while len(done) < len(begun):
        done += tasks.finished(None)
    assert service.call("add", 0) == 60


def test_a_service_is_called_from_a_process_apart():
    service = HERE.service(Counter, 0)
    assert [one.wait() for one in [Apart(add_often, service, 20) for _ in range(2)]] == ["", ""]
    assert service.call("add", 0) == 40
    why = Apart(double, -1).wait()
    assert why.startswith("its process ended with status 1: ")
    assert "cut short" in why


def test_torch_has_the_threads_asked_for_even_if_it_is_loaded_later():
    assert Apart(check_threads, threads=2).wait() == ""


def test_tasks_return_or_raise_and_say_which_they_were(executor):
    tasks = executor.tasks(double, Needs(0.5))
    assert tasks.finished(0) == []
    asked = {tasks.begin(number): number for number in (3, 1, -1, 2)}
    done = []
    while len(done) < len(asked):
        done += tasks.finished(5)
    for one in done:
        if asked[one.ticket] < 0:
            assert isinstance(one.error, DamagedError)
        else:
            assert (one.value, one.error) == (2 * asked[one.ticket], None)
    assert tasks.finished(0) == []


def test_tasks_are_done_however_late_those_before_them_are_asked_about(executor):
    tasks = executor.tasks(double, Needs(0.5))
    for number in range(12):
        tasks.begin(0)
        time.sleep(0.05 if number % 4 == 3 else 0)
    done = []
    while len(done) < 12:
        more = tasks.finished(30)
        assert more
        done += more
    assert sorted(one.ticket for one in done) == sorted({one.ticket for one in done})


def test_there_is_room_on_nodes_that_are_up(executor):
    room = executor.room()
    fits = room.fits({"CPU": 0.5})
    assert set(fits) <= executor.nodes()
    assert sum(fits.values()) >= 2 * room.cpus - 1
    assert executor.room(spared_cpus=0.5).cpus == room.cpus - 0.5


def planned(toy, store, *overrides):
    plan = make_plan(load_study(toy / "study.toml", overrides))
    for rows in plan.inputs():
        rows.publish(store)
    return plan


@pytest.fixture
def make(toy, store, tmp_path, executor):
    """Make rows with an engine that breaks; return the pools and all that was heard."""

    def rows_of(engine, **resources):
        args = f'generate.engine_args={{folder = "{tmp_path}"}}'
        plan = planned(toy, store, f"generate.engine=breaking_engines:{engine}", args)
        pools, heard = plan.pools, []
        wants = [
            Want(pool, one) for pool in pools for slot in pool.slots for one in grid(slot, ROWS)
        ]
        lease = Lease(executor)
        with Generation(pools, store, Resources(**resources), lease=lease) as generation:
            generation.want(wants)
            while generation.is_waiting:
                heard += generation.hear(1.0)
                generation.finish([])
        return pools, wants, heard

    return rows_of


def assert_whole(pools, store):
    for pool in pools:
        for slot, segments in pool.segments(store).items():
            tables = [store.table(f"{pool.folder}/{one.name}").table for one in segments]
            rows = [row for table in tables for row in table.to_pylist()]
            assert [row["index"] for row in rows] == list(range(ROWS))
            assert all(row["completion"].endswith(f"on visit {row['index']}") for row in rows)
            assert {row["slot"] for row in rows} == {slot}


@pytest.mark.parametrize("replicas", [1, 2])
def test_every_segment_is_made_and_told_of_once(make, store, replicas):
    pools, wants, heard = make("Noting", rows_per_call=32, replicas=replicas, engine_cpus=0.5)
    assert_whole(pools, store)
    told = Tally(event.part for event in heard if isinstance(event, Made))
    assert set(told) == {(want.pool.fingerprint, want.segment) for want in wants}
    assert set(told.values()) == {1}


def test_an_engine_that_is_lost_is_replaced(make, store, tmp_path):
    pools, _, heard = make("LostOnce", rows_per_call=32)
    assert [event.cause for event in heard if isinstance(event, Lost)] == ["the wire was cut"]
    assert len(notes(tmp_path / "starts")) == 2
    assert_whole(pools, store)


@pytest.mark.parametrize(("engine", "calls"), [("DiesOnce", 1), ("DiesOnceAmongMany", 8)])
def test_a_process_that_dies_costs_the_calls_it_was_at(make, store, tmp_path, engine, calls):
    pools, _, heard = make(engine, rows_per_call=16, calls_in_flight=calls)
    (lost,) = [event for event in heard if isinstance(event, Lost)]
    assert "killed" in lost.cause
    assert len(notes(tmp_path / "starts")) == 2
    assert_whole(pools, store)
    asked = Tally(notes(tmp_path / "asked"))
    assert 0 < asked.total() - 2 * ROWS <= min(16 * calls, DIES_AT + calls)


def test_an_engine_that_does_not_get_ready_is_given_up(make, tmp_path):
    _, _, heard = make("Unready", patience_s=0.5)
    assert [event.cause for event in heard if isinstance(event, GivenUp)] == [
        "it did not start within 0.5 s"
    ]
    assert len(notes(tmp_path / "starts")) == 3


@pytest.mark.parametrize("engine", ["HopelessAtStart", "HopelessWhenAsked"])
def test_an_engine_that_no_other_can_replace_is_given_up_at_once(make, tmp_path, engine):
    _, _, heard = make(engine)
    assert [event.cause for event in heard if isinstance(event, GivenUp)] == [
        "the key is not accepted"
    ]
    assert len(notes(tmp_path / "starts")) == 1


def test_an_engine_with_a_bug_ends_the_work_with_its_error(make):
    with pytest.raises(Exception, match="left 1 prompts unanswered") as told:
        make("Forgetting", rows_per_call=16)
    assert not isinstance(told.value, EngineLostError)


@pytest.fixture
def train(toy, store, executor):
    """Train a study's runs on real rows with a trainer; return the runs and what became of each."""
    shutil.copytree(os.path.realpath(toy / "model"), toy / "own")

    def outcomes(trainer, *overrides, **resources):
        real = ["factors.quantity=[0]", "factors.real=[10, 20, 30]", "train.model=./own"]
        plan = planned(toy, store, *real, f"train.trainer={trainer}", *overrides)
        runs = survey(plan, store).missing()
        heard = []
        # a room of its own: what has this process for itself may not die in it
        room = executor.room()
        with Fleet(store, Resources(**resources), room, executor) as fleet:
            fleet.want(runs)
            fleet.finish()
            while fleet.is_waiting:
                heard += fleet.hear(0.5)
        return runs, {one.run.name: one.failure for one in heard}

    return outcomes


def test_every_run_is_made_once(train, store):
    runs, heard = train("user_plugins:Guess", fleet=2)
    assert heard == {run.name: None for run in runs}
    assert {f"runs/{name}" for name in store.names("runs")} == set(heard)


def test_a_worker_that_dies_is_replaced_and_costs_no_run(train):
    runs, heard = train("executor_parts:DiesOnce", fleet=1)
    assert heard == {run.name: None for run in runs}


def test_a_run_that_kills_its_workers_is_given_up_alone(train):
    runs, heard = train("executor_parts:DiesAt10", fleet=1)
    assert len(heard) == len(runs) == 3
    (failure,) = [why for why in heard.values() if why]
    assert "died again and again" in failure
