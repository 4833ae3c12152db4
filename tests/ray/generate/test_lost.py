"""Engines that break while they work, and those that have no room beside each other."""

from collections import Counter

import pytest
from breaking_engines import DIES_AT, notes

from engine.errors import EngineLostError
from engine.generate.events import GivenUp, Lost, Made, Started
from engine.generate.generation import Generation, generate
from engine.generate.ledger import LOSSES
from engine.plan.plan import make_plan
from engine.steps.pool import Want
from engine.store.segments import grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources

ROWS = 128  # of each of the two labels


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


@pytest.fixture
def pools(toy, store, tmp_path):
    """Plan pools of an engine that breaks; more than one differ in what they start with."""

    def plan(engine, count=1):
        own = []
        for number in range(count):
            args = f'generate.engine_args={{folder = "{tmp_path}", number = {number}}}'
            overrides = [f"generate.engine=breaking_engines:{engine}", args]
            made = make_plan(load_study(toy / "study.toml", overrides))
            own += made.pools
        for rows in made.inputs():
            rows.publish(store)
        return own

    return plan


def wanted(pools):
    return [Want(pool, one) for pool in pools for slot in pool.slots for one in grid(slot, ROWS)]


def events_of(pools, store, where):
    """Make rows; return all that is heard meanwhile."""
    heard = []
    with Generation(pools, store, where) as generation:
        generation.want(wanted(pools))
        while generation.is_waiting:
            heard += generation.hear(1.0)
            generation.finish([])
    return heard


def of_kind(kind, events):
    return [event for event in events if isinstance(event, kind)]


def assert_whole(pools, store):
    """Every row is there, once, with the text that its engine gives it."""
    for pool in pools:
        for slot, segments in pool.segments(store).items():
            tables = [store.table(f"{pool.folder}/{one.name}").table for one in segments]
            rows = [row for table in tables for row in table.to_pylist()]
            assert [row["index"] for row in rows] == list(range(ROWS))
            assert all(row["completion"].endswith(f"on visit {row['index']}") for row in rows)
            assert {row["slot"] for row in rows} == {slot}


def test_an_engine_that_does_not_get_ready_is_replaced_and_then_given_up(
    pools, store, tmp_path, ray_up
):
    with pytest.raises(EngineLostError, match="did not start within 1 s"):
        generate(wanted(pools("Unready")), store, Resources(patience_s=1), lambda _: None)
    assert len(notes(tmp_path / "starts")) == LOSSES


def test_an_engine_that_is_lost_is_replaced_and_its_rows_are_made(pools, store, tmp_path, ray_up):
    own = pools("LostOnce")
    events = events_of(own, store, Resources(rows_per_call=32))
    assert [event.cause for event in of_kind(Lost, events)] == ["the wire was cut"]
    assert len(of_kind(Started, events)) == len(notes(tmp_path / "starts")) == 2
    assert_whole(own, store)


@pytest.mark.parametrize("engine", ["HopelessAtStart", "HopelessWhenAsked"])
def test_an_engine_that_no_other_can_replace_is_given_up_at_once(
    pools, store, tmp_path, ray_up, engine
):
    with pytest.raises(EngineLostError, match="the key is not accepted"):
        generate(wanted(pools(engine)), store, Resources(), lambda _: None)
    assert len(notes(tmp_path / "starts")) == 1


@pytest.mark.usefixtures("ray_up")
@pytest.mark.parametrize(("engine", "calls"), [("DiesOnce", 1), ("DiesOnceAmongMany", 8)])
def test_a_process_that_dies_costs_no_more_than_the_calls_it_was_at(
    pools, store, tmp_path, engine, calls
):
    own = pools(engine)
    events = events_of(own, store, Resources(rows_per_call=16, calls_in_flight=calls))
    (lost,) = of_kind(Lost, events)
    assert "killed" in lost.cause
    assert len(notes(tmp_path / "starts")) == 2
    assert_whole(own, store)
    asked = Counter(notes(tmp_path / "asked"))
    assert len(asked) == 2 * ROWS
    again = asked.total() - len(asked)
    assert 0 < again <= min(16 * calls, DIES_AT + calls)
    told = Counter(event.part for event in of_kind(Made, events))
    assert set(told) == {(want.pool.fingerprint, want.segment) for want in wanted(own)}


def test_groups_that_fit_run_side_by_side(pools, store, tmp_path, ray_up):
    own = pools("Meeting", count=3)
    events = events_of(own, store, Resources(engine_cpus=0.5))
    assert len({event.group for event in of_kind(Started, events)}) == 3
    assert notes(tmp_path / "met")
    assert_whole(own, store)


def test_groups_that_do_not_fit_run_one_after_another(pools, store, tmp_path, ray_up):
    own = pools("Noting", count=3)
    events = []
    generate(wanted(own), store, Resources(engine_cpus=1), events.append)
    groups = [event.group for event in events]
    assert len(set(groups)) == 3
    assert groups == sorted(groups, key=list(dict.fromkeys(groups)).index)
    assert len(notes(tmp_path / "starts")) == 3
    assert_whole(own, store)


def test_a_group_that_is_given_up_leaves_its_place_to_the_next(pools, store, tmp_path, ray_up):
    own = [*pools("HopelessAtStart"), *pools("Noting", count=2)]
    events = events_of(own, store, Resources(engine_cpus=1))
    assert len(of_kind(GivenUp, events)) == 1
    assert_whole(own[1:], store)
