"""A root on an S3 server: what holds of a folder holds there."""

import errno
import time

import pyarrow as pa
import pytest
from s3_server import s3_server

from engine.errors import DamagedError, RootError
from engine.store.object_files import ObjectFiles
from engine.store.seal import open_document, open_table, seal_document, seal_table
from engine.store.store import Store, is_leftover


@pytest.fixture(scope="module")
def server():
    with s3_server():
        yield


@pytest.fixture
def store(server, request):
    return Store.open(f"s3://bucket/{request.node.name}")


def test_the_first_commit_wins_and_a_probe_leaves_nothing(store):
    store.probe()
    assert store.commit("runs/b.json", b"first")
    assert not store.commit("runs/b.json", b"second")
    assert store.has("runs/b.json")
    assert not store.has("runs")
    assert (store.names("."), store.names("runs"), store.names("x")) == (["runs"], ["b.json"], [])
    (entry,) = store.entries(".")
    assert (entry.name, entry.size) == ("runs/b.json", 5)
    assert time.time() - entry.modified < 60
    store.remove("runs")
    assert store.names(".") == []


def test_sealed_files_and_large_footers_come_back(store):
    table = pa.table({"number": range(1000)})
    for name, notes in (
        ("gold/few.parquet", {"rows": 3}),
        ("gold/many.parquet", {"text": "x" * 200_000}),
    ):
        store.commit(name, seal_table(table, notes))
        assert open_table(store._read(name), name).table.equals(table)
        assert store.notes(name)[0] == notes
    with pytest.raises(DamagedError, match="missing"):
        store.notes("none.parquet")
    with pytest.raises(DamagedError, match="missing"):
        store.document("none.json")


def test_a_damaged_file_is_set_aside_and_a_sound_one_is_not(store):
    store.commit_document("runs/sound.json", {"a": 1})
    store.commit("runs/cut.json", seal_document({"a": 1})[:-9])
    assert not store.set_aside("runs/sound.json")
    assert store.set_aside("runs/cut.json")
    assert store.names("runs") == ["sound.json"]
    assert open_document(store._read("runs/sound.json"), "it") == {"a": 1}
    assert store.commit_document("runs/cut.json", {"a": 1})
    store.retire("runs/cut.json")
    store.retire("runs/never.json")
    assert [one.name for one in store.entries(".") if not is_leftover(one.name)] == [
        "runs/sound.json"
    ]


class ToldError(Exception):
    """What botocore raises, with what S3 calls it."""

    def __init__(self, code):
        self.response = {"Error": {"Code": code}}


def telling(monkeypatch, store, *codes):
    """Have S3 answer so, one after another, and then do as it is asked."""
    client = store._files._fs
    left, put = list(codes), client.pipe_file

    def answer(*args, **more):
        if left:
            raise OSError(errno.EIO, "told") from ToldError(left.pop(0))
        return put(*args, **more)

    monkeypatch.setattr(client, "pipe_file", answer)
    return left


def test_a_writer_that_meets_another_comes_back_and_one_that_is_late_is_told(store, monkeypatch):
    left = telling(monkeypatch, store, "ConditionalRequestConflict", "SlowDown")
    assert store.commit("runs/busy.json", b"mine")
    assert not left
    telling(monkeypatch, store, "ConditionalRequestConflict", "PreconditionFailed")
    assert not store.commit("runs/late.json", b"mine")
    telling(monkeypatch, store, "AccessDenied")
    with pytest.raises(OSError, match="told"):
        store.commit("runs/denied.json", b"mine")


def test_a_file_that_cannot_be_seen_is_not_one_that_is_not_there(store, monkeypatch):
    store.commit("runs/it.json", b"")

    def denied(*args, **more):
        raise PermissionError("denied")

    monkeypatch.setattr(store._files._fs, "info", denied)
    with pytest.raises(PermissionError):
        store.has("runs/it.json")


def test_what_goes_up_in_parts_is_on_the_same_condition(store):
    large = b"x" * 105 * 2**20
    assert store.commit("runs/large.json", large)
    assert not store.commit("runs/large.json", large[::-1])
    assert [entry.size for entry in store.entries(".")] == [len(large)]


def test_a_store_that_ignores_the_condition_is_refused(store, monkeypatch):
    monkeypatch.setattr(
        ObjectFiles, "create", lambda self, name, data: self.replace(name, data) or True
    )
    with pytest.raises(RootError, match="second writer"):
        store.probe()


@pytest.mark.parametrize(
    ("root", "words"),
    [("s3://no-such-bucket/root", "cannot be written"), ("s3://", "no bucket")],
)
def test_a_root_that_cannot_be_written_is_refused_in_words(server, root, words):
    with pytest.raises(RootError, match=words):
        Store.open(root).probe()
