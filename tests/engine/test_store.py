import threading

import pyarrow as pa
import pytest

from engine.errors import DamagedError, RootError
from engine.seal import open_document, open_table, seal_document, seal_table
from engine.store import Store, is_leftover

TABLE = pa.table({"number": [1, 2, 3], "text": ["x", "y", None]})


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def test_the_first_commit_wins(store):
    assert store.commit("a/b", b"first")
    assert not store.commit("a/b", b"second")
    assert (store.root / "a/b").read_bytes() == b"first"


def test_of_many_writers_at_once_one_wins_and_nothing_is_left_behind(store):
    won = []
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        if store.commit("it", str(number).encode() * 100_000):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(won) == 1
    assert (store.root / "it").read_bytes() == str(won[0]).encode() * 100_000
    assert [path.name for path in store.files(".")] == ["it"]


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
    store.commit_document("sound.json", {"a": 1})
    store.commit("cut.json", seal_document({"a": 1})[:-9])
    assert not store.set_aside("sound.json")
    assert store.set_aside("cut.json")
    assert store.document("sound.json") == {"a": 1}
    assert store.names(".") == ["sound.json"]
    assert store.commit_document("cut.json", {"a": 1})
    assert [path.name for path in store.files(".") if not is_leftover(path)] == [
        "cut.json",
        "sound.json",
    ]


def test_a_root_that_is_a_file_or_a_url_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RootError, match="is a file"):
        Store.open(str(tmp_path / "file"))
    with pytest.raises(RootError, match="URL"):
        Store.open("s3://bucket/root")
    with pytest.raises(RootError, match="is a file"):
        Store.open(str(tmp_path / "file" / "below")).probe()
