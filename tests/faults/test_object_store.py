"""Writers on an S3 server that race each other, or are killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from command import environment
from s3_server import s3_server

from engine.store.store import Store


@pytest.fixture(scope="module")
def server():
    with s3_server():
        yield


@pytest.fixture
def store(server, request):
    return Store.open(f"s3://bucket/{request.node.name}")


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
