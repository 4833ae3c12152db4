"""A root on an S3 server: what holds of a folder holds there, whoever writes and dies."""

import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import environment, textmill, textmill_alone
from moto.server import ThreadedMotoServer
from toy_study import make_toy

from engine.errors import DamagedError, RootError
from engine.store.object_files import ObjectFiles
from engine.store.seal import open_document, open_table, seal_document, seal_table
from engine.store.store import Store, is_leftover

TIMES = {"train_seconds", "pool", "run"}


@pytest.fixture(scope="module")
def server():
    """A server on loopback with one bucket; returns the environment in which it is found."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it tells of every request
    serving = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    found = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield found
    serving.stop()


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


WRITER = """
import sys
from engine.store.store import Store
root, names, letter, times = sys.argv[1:]
store = Store.open(root)
store.names(".")  # connects
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(times)):
    print(store.commit(f"runs/{number % int(names)}.json", letter.encode() * 50_000), flush=True)
"""


def writer(store, names, letter, times):
    """Start a process that is ready to commit."""
    words = [sys.executable, "-c", WRITER, store.root, str(names), letter, str(times)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env=environment(), **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def test_of_writers_that_race_one_wins_each_name(store):
    letters = "abc"
    racing = [writer(store, 20, letter, 20) for letter in letters]
    for process in racing:
        go(process)
    won = [process.communicate(timeout=60)[0].split() for process in racing]
    for number in range(20):
        (winner,) = [at for at, own in enumerate(won) if own[number] == "True"]
        assert store._read(f"runs/{number}.json") == letters[winner].encode() * 50_000
    assert sum(own.count("True") for own in won) == 20


def test_a_writer_that_is_killed_leaves_whole_files_only(store):
    process = writer(store, 10_000, "k", 10_000)
    go(process)
    for _ in range(5):
        process.stdout.readline()
    time.sleep(0.03)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    names = store.names("runs")
    assert len(names) >= 5
    assert all(store._read(f"runs/{name}") == b"k" * 50_000 for name in names)
    assert store.commit(f"runs/{len(names)}.json", b"another")


def test_an_upload_that_is_killed_half_way_is_as_if_it_had_not_begun(store):
    """Its bytes go into a socket that takes no more; then the process is killed."""
    code = (
        "import sys; from engine.store.store import Store; "
        "print('at it', flush=True); "
        "Store.open(sys.argv[1]).commit('runs/large.json', b'x' * 90_000_000)"
    )
    through, passed = slow_proxy(os.environ["AWS_ENDPOINT_URL"], 3_000_000)
    process = subprocess.Popen(
        [sys.executable, "-c", code, store.root], env=environment(AWS_ENDPOINT_URL=through)
    )
    assert passed.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.names(".") == []
    assert store.commit("runs/large.json", b"ours")
    assert store._read("runs/large.json") == b"ours"


def slow_proxy(target, limit):
    """Pass a connection's bytes on to a server, but no more than so many.

    Returns:
        Its address, and an event that is set once there were more.
    """
    host, port = target.removeprefix("http://").split(":")
    listening = socket.create_server(("127.0.0.1", 0))
    passed = threading.Event()

    def serve():
        near, _ = listening.accept()
        far = socket.create_connection((host, int(port)))
        threading.Thread(target=answer, args=(far, near), daemon=True).start()
        count = 0
        while count < limit and (data := near.recv(65_536)):
            far.sendall(data)
            count += len(data)
        passed.set()
        with contextlib.suppress(ConnectionResetError):
            while near.recv(1):  # slowly, until the sender is no more
                time.sleep(0.05)
        far.close()

    def answer(far, near):
        with contextlib.suppress(OSError):
            while data := far.recv(65_536):
                near.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}", passed


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


def test_a_study_on_an_object_store_comes_to_what_it_comes_to_in_a_folder(
    ray_up, server, tmp_path, tiny_model
):
    folder = make_toy(tmp_path, tiny_model)
    words = ["run", "study.toml", "--set", "repeats=1"]
    words += ["--set", "factors.quantity=[0, 24]"]
    done = textmill_alone(*words, "--root", "s3://bucket/study", folder=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "s3://bucket/study/studies/toy/report.html" in done.stdout
    aside = textmill(*words, "--root", "folder", folder=folder)
    assert aside.returncode == 0, aside.stderr + aside.stdout
    again = textmill(*words, "--root", "s3://bucket/study", folder=folder)
    assert "3 of 3 runs are there" in again.stdout, again.stderr
    store = Store.open("s3://bucket/study")
    rows = [
        pq.read_table(pa.BufferReader(data)).to_pylist()
        for data in (
            store._read("studies/toy/results.parquet"),
            Path(folder, "folder/studies/toy/results.parquet").read_bytes(),
        )
    ]
    assert [{k: v for k, v in row.items() if k not in TIMES} for row in rows[0]] == [
        {k: v for k, v in row.items() if k not in TIMES} for row in rows[1]
    ]
    here = Store.open(str(folder / "folder"))
    tables = [one.name for one in here.entries("pools") if one.name.endswith(".parquet")]
    assert len(tables) == 2
    for name in tables:
        assert store.table(name).table.equals(here.table(name).table)
    assert not [one for one in store.entries(".") if is_leftover(one.name)]
    seen = textmill("status", *words[1:], "--root", store.root, "--verify", folder=folder)
    assert seen.returncode == 0, seen.stdout
    store.commit("pools/nobodys/recipe.json", b"{}")
    words = ["clean", "--root", store.root, "--yes", "--older-than", "0"]
    assert "Removed 1 files and folders" in textmill(*words, folder=folder).stdout
    assert not store.names("pools/nobodys")
