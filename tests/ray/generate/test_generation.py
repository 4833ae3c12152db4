"""Rows that engines make in processes of Ray's; tests/unit has more, of this process."""

import pytest
from ray.exceptions import RayTaskError
from root_snapshot import snapshot

from engine.generate.generation import generate
from engine.plan.plan import make_plan
from engine.steps.pool import Want
from engine.store.segments import grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, store, *overrides):
    plan = make_plan(load_study(toy / "study.toml", overrides))
    for rows in plan.inputs():
        rows.publish(store)
    return plan.pools[0]


def wanted(pool, count):
    return [Want(pool, segment) for slot in pool.slots for segment in grid(slot, count)]


def pool_rows(store, pool):
    return [
        row
        for segments in pool.segments(store).values()
        for segment in segments
        for row in store.table(f"{pool.folder}/{segment.name}").table.to_pylist()
    ]


def test_what_is_there_stays_as_it_is_when_a_pool_grows(toy, store, ray_up):
    pool = planned(toy, store)
    generate(wanted(pool, 16), store, Resources(), lambda _: None)
    before = snapshot(store.root, [pool.folder])
    made = []
    generate(wanted(pool, 60), store, Resources(rows_per_call=20), made.append)
    assert {path: path.read_bytes() for path in before} == before
    assert sum(one.part.rows for one in made if not one.was_there) == 96
    assert len(pool_rows(store, pool)) == 128


def test_answers_in_any_order_make_the_same_rows(toy, store, ray_up):
    pool = planned(toy, store, "generate.engine=user_plugins:Backwards")
    generate(wanted(pool, 20), store, Resources(rows_per_call=48, replicas=2), lambda _: None)
    rows = [row for row in pool_rows(store, pool) if row["slot"] == "good"]
    assert [row["index"] for row in rows] == list(range(32))
    assert rows[7]["completion"] == "the soup was superb on visit 7"
    assert rows[7]["id"] == str(pool.row("good", 7))


@pytest.mark.parametrize(
    ("engine", "says"),
    [("user_plugins:Forgetful", "left 1 prompts unanswered"), ("user_plugins:Stammering", "twice")],
)
def test_an_engine_that_loses_or_doubles_rows_is_found_out(toy, store, ray_up, engine, says):
    pool = planned(toy, store, f"generate.engine={engine}")
    with pytest.raises(RayTaskError, match=says):
        generate(wanted(pool, 16), store, Resources(), lambda _: None)
