"""A study as a job of a head that the script starts: sent, followed, attached to, refused."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from command import REPOSITORY
from forked import Command, textmill_forked
from toy_study import make_toy

ON_RAY = ["--set", "resources.run_on=ray"]  # which is what a job is without a word
HEAD = REPOSITORY / "cluster" / "local-head.sh"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def family(folder):
    """Return the processes that were told of a folder, and all that these started."""
    all_of_them = psutil.process_iter(["cmdline"])
    told = [one for one in all_of_them if folder in " ".join(one.info["cmdline"] or ())]
    return list({*told, *(child for one in told for child in one.children(recursive=True))})


@pytest.fixture(scope="module")
def head():
    """The address of a head's dashboard, and the file of its token."""
    # paths of sockets must be short, and pytest's folders are not
    folder = Path(tempfile.mkdtemp(prefix="head-"))
    ports = {"PORT": str(free_port()), "DASHBOARD_PORT": str(free_port())}
    # as a user's shell has it: the tests' Ray has settings of its own
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own = {**plain, **ports, "CPUS": "2", "HOME": str(folder)}
    command = [str(HEAD), "start", str(folder / "head")]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield f"http://127.0.0.1:{ports['DASHBOARD_PORT']}", folder / "head" / "token"
    started = family(str(folder))
    assert started
    subprocess.run([str(HEAD), "stop", str(folder / "head")], env=own, check=True)
    assert not psutil.wait_procs(started, timeout=5)[1]
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_model):
    """The folder of a study, which goes along, and one that all nodes see."""
    study = make_toy(tmp_path_factory.mktemp("study"), tiny_model)
    return study, tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def asked(head, place):
    """Run a command about the study at the head; with its token, or another."""
    study, shared = place
    address, token = head

    def ask(command, *words, file="study.toml", run=textmill_forked, **own):
        variables = {"RAY_AUTH_TOKEN_PATH": str(token), "HOME": str(shared)} | own
        # as a user's shell has it: the tests' Ray has settings of its own
        with pytest.MonkeyPatch.context() as patch:
            for name in (*filter(lambda one: one.startswith("RAY_"), os.environ), *variables):
                patch.delenv(name, raising=False)
            known = {name: value for name, value in variables.items() if value is not None}
            return run(command, file, "--address", address, *words, folder=study, **known)

    return ask


def interrupted(*words, folder, **more):
    """Run a command until it tells of rows, then press Ctrl-C."""
    words, log, errors = [str(word) for word in words], folder / "log", folder / "errors"
    command = Command(words, folder, log, errors=errors, **more)
    command.wait_for(lambda: log.exists() and "generate: " in log.read_text(), errors)
    command.send_signal(signal.SIGINT)
    status = command.wait(60)
    return subprocess.CompletedProcess(words, status, log.read_text(), errors.read_text())


@pytest.fixture(scope="module")
def sent(asked, place):
    words = ["--root", place[1] / "out", "--shared", place[1], *ON_RAY, "--set", "repeats=1"]
    return words, asked("submit", *words)


def test_a_study_is_sent_followed_and_ends_with_a_report(sent, place):
    done = sent[1]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sent: textmill-toy-" in done.stderr
    assert "train: 5 of 5 runs" in done.stdout
    assert "In short:" in done.stdout
    assert "INFO" not in done.stderr
    results = pq.read_table(place[1] / "out" / "studies" / "toy" / "results.parquet")
    assert results.num_rows == 10
    assert not list((place[0] / "textmill-out").glob("*"))


VLLM = """
name = "reviews"
task = "demo-reviews"
repeats = 1
[generate]
engine = "vllm"
model = "textmill-demo"
max_tokens = 48
[generate.engine_args]
dtype = "float32"
enforce_eager = true
[train]
model = "./model"
steps = 6
precision = "float32"
[resources]
fleet = 1
[factors]
quantity = [0, 24]
real = [10]
"""


@pytest.mark.vllm
def test_a_study_that_generates_with_vllm_is_looked_at_sent_and_attached_to(asked, place):
    pytest.importorskip("vllm")
    (place[0] / "reviews.toml").write_text(VLLM)
    words = ["--root", place[1] / "vllm", "--shared", place[1]]
    looked = asked("doctor", *words, file="reviews.toml")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "1 node, root" in looked.stdout
    assert "Ready." in looked.stdout
    done = asked("submit", *words, file="reviews.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"generate: (\d+) of \1 rows", done.stdout)
    assert "train: 2 of 2 runs" in done.stdout
    assert (place[1] / "vllm" / "studies" / "reviews" / "report.html").exists()
    again = asked("submit", *words, file="reviews.toml")
    assert "is there already" in again.stderr
    assert again.stdout == done.stdout


SEARCH = """
[search]
rungs = [8, 24]
max_trials = 3
[factors]
batch_size = [4, 8]
learning_rate = {low = 1e-4, high = 1e-2, log = true}
"""


def test_a_search_is_sent_beside_the_study_of_its_name(sent, asked, place):
    text = (place[0] / "study.toml").read_text().replace('"toy"', '"toy-search"')
    (place[0] / "search.toml").write_text(text.partition("[factors]")[0] + SEARCH)
    words = ["--search", *sent[0]]
    done = asked("submit", *words, file="search.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "search: 3 of 3 trials" in done.stdout
    assert "The winner, as a study: " in done.stdout
    assert (place[1] / "out" / "studies" / "toy-search" / "search" / "best.toml").exists()
    job = done.stderr.split("sent: ")[1].split()[0]
    assert job not in sent[1].stderr
    again = asked("submit", *words, file="search.toml")
    assert f"is there already: {job}" in again.stderr


def test_a_second_submit_attaches(sent, asked):
    words, first = sent
    again = asked("submit", *words)
    job = first.stderr.split("sent: ")[1].split()[0]
    assert again.returncode == 0
    assert f"is there already: {job}" in again.stderr
    assert again.stdout == first.stdout


def test_its_job_can_be_looked_at_later(sent, asked):
    told = asked("status")
    assert "succeeded" in told.stdout
    assert "Report: " in told.stdout
    assert "5 of 5 runs are there" in asked("logs", "--no-follow").stdout
    assert "ended already" in asked("stop").stderr


def test_a_missing_or_wrong_token_is_told_in_one_message(sent, asked, tmp_path):
    wrong = tmp_path / "token"
    wrong.write_text("0123456789abcdef0123456789abcdef")
    for token, told in (
        (str(wrong), "refuses the token"),
        (str(tmp_path / "none"), "there is no such file"),
        (None, "wants a token"),
    ):
        refused = asked("status", RAY_AUTH_TOKEN_PATH=token)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert told in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert "0123456789abcdef" not in refused.stderr


def test_an_address_where_nothing_answers_is_named(asked):
    refused = asked("logs", "--address", f"http://127.0.0.1:{free_port()}")
    assert refused.returncode == 1
    assert "Nothing answers at http://127.0.0.1:" in refused.stderr
    refused = asked("logs", "--address", "127.0.0.1:8265")
    assert refused.returncode == 2
    assert "give that of the cluster's dashboard" in refused.stderr


def test_ctrl_c_leaves_a_job_and_one_that_is_stopped_is_sent_again(asked, place):
    slow = ["--set", "generate.engine=user_plugins:Slow", "--set", "factors.quantity=[300]"]
    words = ["--root", place[1] / "slow", "--shared", place[1], *ON_RAY, *slow]
    words += ["--env", "PYTHONPATH"]
    first = asked("submit", *words, run=interrupted)
    assert first.returncode == 130, first.stderr
    assert "goes on; textmill stop ends it" in first.stderr
    assert "Traceback" not in first.stderr
    assert "running" in asked("status").stdout
    assert "stopped; submit it again" in asked("stop").stderr
    again = asked("submit", "--no-follow", *words)
    assert "sent: " in again.stderr
    asked("stop")
