"""Rows that engines make in this process."""

import json

import pytest
from root_snapshot import snapshot

from engine.curate.parse import layout, parse
from engine.generate.generation import generate
from engine.plan.plan import make_plan
from engine.steps.pool import Want
from engine.store.segments import grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources

PAIR_TASK = """
name = "pairs"
[labels]
yes = "it follows"
no = "it does not"
[fields]
text = "Premise"
text_pair = "Hypothesis"
[wording]
request = "Write a pair: {description}."
row = "Premise: {text}\\nHypothesis: {text_pair}\\nLabel: {label}"
[splits]
train = "pairs.jsonl"
validation = "pairs.jsonl"
test = "pairs.jsonl"
"""


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


def test_recorded_rows_are_replayed_in_file_order(toy, store):
    pool = planned(toy, store)
    generate(wanted(pool, 40), store, Resources(), lambda _: None)
    records = [json.loads(line) for line in (toy / "records.jsonl").read_text().splitlines()]
    for slot in pool.slots:
        rows = [row for row in pool_rows(store, pool) if row["slot"] == slot]
        expected = [record["text"] for record in records if record["label"] == slot]
        assert [row["index"] for row in rows] == list(range(48))
        assert [row["completion"] for row in rows] == expected[:48]


def test_records_that_run_out_are_rows_with_an_error(toy, store):
    lines = (toy / "records.jsonl").read_text().splitlines(keepends=True)
    (toy / "records.jsonl").write_text("".join(lines[:48]))
    pool = planned(toy, store)
    generate(wanted(pool, 30), store, Resources(), lambda _: None)
    rows = [row for row in pool_rows(store, pool) if row["slot"] == "good"]
    assert [row["error"] is None for row in rows] == [True] * 24 + [False] * 8
    assert "24 of 'good' are recorded" in rows[-1]["error"]


def test_a_text_with_quotes_and_names_survives_as_a_pair(toy, store):
    texts = {"text": 'He said:\n"Hypothesis: none"', "text_pair": "Premise: {odd} 'quotes'"}
    rows = [{**texts, "label": label} for label in ("yes", "no")]
    (toy / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (toy / "pairs.toml").write_text(PAIR_TASK)
    overrides = ["task=pairs.toml", "generate.records=pairs.jsonl", "factors.quantity=[2]"]
    pool = planned(toy, store, *overrides, "factors.real=[0]")
    generate(wanted(pool, 1), store, Resources(), lambda _: None)
    completion = pool_rows(store, pool)[0]["completion"]
    assert parse(completion, layout(pool.task))._asdict() == {**texts, "label": None}


def test_what_is_there_stays_as_it_is_when_a_pool_grows(toy, store):
    pool = planned(toy, store)
    generate(wanted(pool, 16), store, Resources(), lambda _: None)
    before = snapshot(store.root, [pool.folder])
    made = []
    generate(wanted(pool, 60), store, Resources(rows_per_call=20), made.append)
    assert {path: path.read_bytes() for path in before} == before
    assert sum(one.part.rows for one in made if not one.was_there) == 96
    assert len(pool_rows(store, pool)) == 128


@pytest.mark.parametrize("engine", ["user_plugins:Slow", "user_plugins:Backwards"])
def test_answers_in_any_order_make_the_same_rows(toy, store, engine):
    pool = planned(toy, store, f"generate.engine={engine}")
    generate(wanted(pool, 20), store, Resources(rows_per_call=48, replicas=2), lambda _: None)
    rows = [row for row in pool_rows(store, pool) if row["slot"] == "good"]
    assert [row["index"] for row in rows] == list(range(32))
    assert rows[7]["completion"] == "the soup was superb on visit 7"
    assert rows[7]["id"] == str(pool.row("good", 7))


def test_a_strategy_words_one_row_at_a_time(toy, store):
    """It may keep the place that it has come to, as those do that read another pool's view."""
    asked = ["generate.engine=user_plugins:Waiting", "generate.strategy=user_plugins:Solitary"]
    at_once = f'generate.engine_args={{folder = "{toy}", free = 1000}}'
    pool = planned(toy, store, *asked, at_once)
    where = Resources(rows_per_call=16, calls_in_flight=8)
    generate(wanted(pool, 128), store, where, lambda _: None)
    assert len(pool_rows(store, pool)) == 256


@pytest.mark.parametrize(
    ("engine", "says"),
    [("user_plugins:Forgetful", "left 1 prompts unanswered"), ("user_plugins:Stammering", "twice")],
)
def test_an_engine_that_loses_or_doubles_rows_is_found_out(toy, store, engine, says):
    pool = planned(toy, store, f"generate.engine={engine}")
    with pytest.raises(RuntimeError, match=says):
        generate(wanted(pool, 16), store, Resources(), lambda _: None)
