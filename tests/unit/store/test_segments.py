import pytest

from engine.store.schema import Draws, RowId
from engine.store.segments import grid, named_range, slot_name, unbroken
from engine.store.store import Store


@pytest.mark.parametrize("count", [1, 16, 17, 100, 1000, 12345])
def test_the_grid_covers_every_row_once_and_little_more(count):
    segments = grid("a", count)
    rows = [index for segment in segments for index in range(segment.start, segment.stop)]
    assert rows == list(range(segments[-1].stop))
    assert count <= len(rows) <= 1.25 * count + 16


def test_a_larger_grid_begins_with_the_smaller_one():
    assert grid("a", 5000)[: len(grid("a", 700))] == grid("a", 700)


def test_a_million_rows_make_about_two_thousand_files():
    assert 1900 < len(grid("a", 10**6)) < 2100


def test_slots_that_read_alike_have_different_files():
    slots = ["Sci/Tech", "Sci-Tech", "sci/tech", "Sci Tech", "科技", "科学"]
    assert len({slot_name(slot) for slot in slots}) == len(slots)


def test_segments_are_found_again_by_name(tmp_path):
    store = Store.open(str(tmp_path))
    written = [*grid("Sci/Tech", 50), *grid("World", 10)]
    for segment in written:
        store.commit(f"pools/one/{segment.name}", b"")
    (tmp_path / "pools/one/rows/.tmp-1").touch()
    found = store.segments("pools/one", ["World", "Sci/Tech", "Sports"])
    assert found["Sci/Tech"] == grid("Sci/Tech", 50)
    assert found["World"] == grid("World", 10)
    assert found["Sports"] == []


def test_what_lies_behind_a_gap_does_not_count():
    segments = grid("a", 64)
    assert unbroken([segments[0], segments[1], segments[3]]) == segments[:2]
    assert unbroken(segments[1:]) == []


def test_a_segment_s_file_tells_its_slot_and_its_rows():
    for segment in grid("Sci/Tech", 50):
        own = (slot_name("Sci/Tech"), range(segment.start, segment.stop))
        assert named_range(f"pools/one/{segment.name}") == own
    assert named_range("pools/one/rows/other.parquet") is None


def test_draws_follow_from_the_row_alone():
    row = RowId("p" * 64, "good", 7)
    assert row.draws("shots").sample(range(100), 5) == row.draws("shots").sample(range(100), 5)
    others = [RowId("q" * 64, "good", 7), RowId("p" * 64, "bad", 7), RowId("p" * 64, "good", 8)]
    seeds = {one.draws("shots").seed() for one in [row, *others]} | {row.draws("topic").seed()}
    assert len(seeds) == 5


def test_draws_never_change_between_versions():
    draws = Draws("textmill", "1")
    assert [draws.below(1000) for _ in range(5)] == PINNED
    assert sorted(Draws("x").shuffled(range(9))) == list(range(9))
    assert len(set(Draws("x").sample(range(9), 9))) == 9


PINNED = [627, 993, 446, 618, 650]
