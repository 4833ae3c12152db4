"""Views of a pool that grows, or is damaged; its rows are made in this process."""

from pathlib import Path

import datasets
import pytest
from root_snapshot import snapshot

from engine.curate.judging import curate_slot
from engine.generate.generation import generate
from engine.mix.training_set import accepted
from engine.plan.plan import make_plan
from engine.steps.pool import Want
from engine.steps.view import is_current, tally_of
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
    return plan.views[0]


def extend(view, store, count):
    wants = [Want(view.pool, one) for slot in view.pool.slots for one in grid(slot, count)]
    generate(wants, store, Resources(), lambda _: None)


def judge(view, store):
    return [curate_slot(store, view, slot) for slot in view.pool.slots]


def rows_of(view, store):
    return {
        slot: [
            {key: row[key] for key in ("id", "label", "text", "status", "reason")}
            for segment in segments
            for row in store.table(f"{view.folder}/{segment.name}").table.to_pylist()
        ]
        for slot, segments in view.segments(store).items()
    }


@pytest.fixture
def repeating(toy):
    """Recorded rows of which every third repeats an early one."""
    lines = (toy / "records.jsonl").read_text().splitlines()
    for place in range(60, len(lines), 3):
        lines[place] = lines[place % 20]
    (toy / "records.jsonl").write_text("\n".join(lines) + "\n")
    return toy


def test_a_view_that_grows_is_the_view_made_at_once(repeating, store, tmp_path):
    view = planned(repeating, store)
    for count in (10, 40, 41, 150):
        extend(view, store, count)
        judge(view, store)
        assert all(is_current(store, view, slot) for slot in view.pool.slots)
    other = Store.open(str(tmp_path / "other"))
    planned(repeating, other)
    extend(view, other, 150)
    judge(view, other)
    assert rows_of(view, store) == rows_of(view, other)
    tally = tally_of(store, view, "good")
    assert tally.refused["duplicate"] > 20
    assert tally.accepted + sum(tally.refused.values()) == tally.rows


def test_rows_already_judged_do_not_change_as_the_pool_grows(repeating, store):
    view = planned(repeating, store)
    extend(view, store, 40)
    judge(view, store)
    before = snapshot(store.root, [view.folder])
    extend(view, store, 120)
    judge(view, store)
    assert {path: path.read_bytes() for path in before} == before


def test_a_lost_view_segment_is_judged_again_with_memory_of_those_before(repeating, store):
    view = planned(repeating, store)
    extend(view, store, 150)
    judge(view, store)
    before = rows_of(view, store)
    segments = view.segments(store)["bad"]
    for place in (3, 6):
        (Path(store.root) / view.folder / segments[place].name).unlink()
    assert not is_current(store, view, "bad")
    judge(view, store)
    assert rows_of(view, store) == before


def test_a_damaged_pool_segment_is_found_set_aside_and_its_view_rows_made_again(repeating, store):
    view = planned(repeating, store)
    extend(view, store, 100)
    judge(view, store)
    before = rows_of(view, store)
    segment = view.pool.segments(store)["good"][2]
    path = Path(store.root) / view.pool.folder / segment.name
    path.write_bytes(path.read_bytes()[:-7])
    damaged = [name for one in judge(view, store) for name in one.damaged]
    assert damaged == [f"{view.pool.folder}/{segment.name}"]
    assert segment not in view.pool.segments(store)["good"]
    extend(view, store, 100)
    judge(view, store)
    assert is_current(store, view, "good")
    assert rows_of(view, store) == before


def test_a_view_ends_at_the_first_row_without_an_outcome(toy, store):
    view = planned(toy, store)
    extend(view, store, 64)
    path = Path(store.root) / view.pool.folder / view.pool.segments(store)["good"][1].name
    path.unlink()
    judge(view, store)
    assert tally_of(store, view, "good").rows == 16
    assert len(list(accepted(store, view, "good"))) == 16


def test_copies_of_gold_rows_and_of_shots_are_refused(toy, store):
    test_row = (toy / "test.jsonl").read_text().splitlines()[0]
    with (toy / "records.jsonl").open("r+") as file:
        lines = file.read()
        file.seek(0)
        file.write(test_row + "\n" + lines)
    view = planned(toy, store)
    extend(view, store, 16)
    judge(view, store)
    assert tally_of(store, view, "bad").refused == {"gold_copy": 1}


def test_datasets_reads_a_view(toy, store, tmp_path):
    view = planned(toy, store)
    extend(view, store, 20)
    store.commit_recipe(view.folder, view.recipe())
    judge(view, store)
    rows = datasets.load_dataset(
        "parquet",
        data_dir=str(Path(store.root) / view.folder / "rows"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert rows.column_names[:6] == ["id", "label", "text", "text_pair", "status", "reason"]
    assert len(rows) == 64
