import threading
from pathlib import Path

import pyarrow as pa
import pytest

from engine.errors import DamagedError, RootError
from engine.store.seal import open_document, open_table, seal_document, seal_table
from engine.store.store import Store, is_leftover

TABLE = pa.table({"number": [1, 2, 3], "text": ["x", "y", None]})


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def test_the_first_commit_wins(store):
    assert store.commit("runs/b.json", b"first")
    assert not store.commit("runs/b.json", b"second")
    assert (Path(store.root) / "runs/b.json").read_bytes() == b"first"


def test_a_name_of_no_commit_point_is_a_bug(store):
    for name in ("it.json", "run/it.json", "runs/it.parquet", "pools/it/rows.parquet"):
        with pytest.raises(ValueError, match="no file that textmill writes"):
            store.commit(name, b"")
        with pytest.raises(ValueError, match="no file that textmill writes"):
            store.publish(name, b"")
    assert not Path(store.root).exists()


def test_of_many_writers_at_once_one_wins_and_nothing_is_left_behind(store):
    won = []
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        if store.commit("runs/it.json", str(number).encode() * 100_000):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(won) == 1
    assert (Path(store.root) / "runs/it.json").read_bytes() == str(won[0]).encode() * 100_000
    assert [entry.name for entry in store.entries(".") if entry.is_file] == ["runs/it.json"]


def test_a_sealed_table_comes_back_with_its_notes():
    table, notes, _ = open_table(seal_table(TABLE, {"rows": 3}), "it")
    assert table.equals(TABLE)
    assert notes == {"rows": 3}


def test_every_flipped_byte_of_a_table_is_noticed():
    data = seal_table(TABLE, {"rows": 3})
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(DamagedError):
            open_table(bytes(altered), "it")


@pytest.mark.parametrize("seal", [lambda: seal_table(TABLE, {}), lambda: seal_document({"a": 1})])
def test_every_cut_is_noticed(seal):
    data = seal()
    opened = open_document if data.startswith(b"{") else open_table
    for length in range(len(data) - 1):
        with pytest.raises(DamagedError):
            opened(data[:length], "it")


def test_an_altered_document_is_noticed():
    data = seal_document({"accuracy": 0.5})
    with pytest.raises(DamagedError, match=r"run\.json"):
        open_document(data.replace(b"0.5", b"0.9"), "run.json")


def test_a_damaged_file_is_set_aside_and_a_sound_one_is_not(store):
    store.commit_document("runs/sound.json", {"a": 1})
    store.commit("runs/cut.json", seal_document({"a": 1})[:-9])
    assert not store.set_aside("runs/sound.json")
    assert store.set_aside("runs/cut.json")
    assert open_document(store._read("runs/sound.json"), "it") == {"a": 1}
    assert store.names("runs") == ["sound.json"]
    assert store.commit_document("runs/cut.json", {"a": 1})
    files = [one.name for one in store.entries(".") if one.is_file]
    assert sorted(one for one in files if not is_leftover(one)) == [
        "runs/cut.json",
        "runs/sound.json",
    ]


def test_a_root_that_is_a_file_or_no_known_store_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RootError, match="is a file"):
        Store.open(str(tmp_path / "file"))
    with pytest.raises(RootError, match="a prefix of a store that speaks S3"):
        Store.open("ftps3://bucket/root")
    with pytest.raises(RootError, match="is a file"):
        Store.open(str(tmp_path / "file" / "below")).probe()
