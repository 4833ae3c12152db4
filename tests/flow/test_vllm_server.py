"""The engine ``openai``, asking a real vLLM server on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest
from asking_openai import engines, planned
from toy_study import make_toy

from engine.errors import ConfigError
from engine.models import embedded_folder

pytestmark = pytest.mark.vllm

CONTEXT = 512  # of the real server
PROMPT = "Write one movie review: the reviewer liked it."


@pytest.fixture(scope="module")
def pool(tmp_path_factory, tiny_model):
    """A pool; all settings have its fingerprint, so that their rows have the same seeds."""
    return planned(make_toy(tmp_path_factory.mktemp("toy"), tiny_model))


@pytest.fixture
def asking(pool, tmp_path, monkeypatch):
    """Start engines; close them at the end."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with engines(pool, tmp_path) as start:
        yield start


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The URL of vLLM's API server with the embedded model; it starts in half a minute."""
    if find_spec("vllm") is None:  # to import it would leave its threads in this process
        pytest.skip("vllm is not installed")
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += ["--model", str(embedded_folder()), "--served-model-name", "toy"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-num-seqs", "16", "--max-model-len", str(CONTEXT)]
    command += ["--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not is_healthy(port):
            if server.poll() is not None:
                pytest.fail(f"the server ended with {server.returncode}: {log.read_text()[-2000:]}")
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        end_group(server)


def end_group(server):
    """End a process and those that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def is_healthy(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_a_real_server_answers_each_prompt_with_what_it_counted(asking, served):
    ask = asking(served, model="toy", engine_args={"logprobs": True})
    rows = ask(*[PROMPT] * 24)
    assert [row.row.index for row in rows] == list(range(24))
    assert len({row.text for row in rows}) > 12
    assert {row.finish_reason for row in rows} <= {"stop", "length"}
    for row in rows:
        assert row.error is None
        assert row.prompt_tokens == rows[0].prompt_tokens > 5
        assert (row.completion_tokens == 20) or (row.finish_reason == "stop")
        assert row.mean_logprob < 0
    long = PROMPT * (400 // rows[0].prompt_tokens)
    (first,), (second,) = ask(long), ask(long)
    assert 0 == first.cached_tokens < second.cached_tokens < second.prompt_tokens


def test_the_same_seeds_give_the_same_texts(asking, served):
    ask = asking(served, model="toy")
    alone = asking(served, {"max_num_seqs": 1}, model="toy")
    rows = ask(*[PROMPT] * 16)
    assert [row.text for row in alone(*[PROMPT] * 16)] == [row.text for row in rows]


def test_settings_reach_the_server(asking, served):
    likeliest = asking(served, model="toy", temperature=0.0)(*[PROMPT] * 4)
    assert len({row.text for row in likeliest}) == 1
    text = likeliest[0].text
    narrow = asking(served, model="toy", engine_args={"extra_body": {"top_k": 1}})
    assert narrow(PROMPT)[0].text == text
    word = text.split()[2]
    (cut,) = asking(served, model="toy", temperature=0.0, stop=[word])(PROMPT)
    assert cut.text == text.split(word)[0]
    (short,) = asking(served, model="toy", temperature=0.0, max_tokens=3)(PROMPT)
    assert (short.completion_tokens, short.finish_reason) == (3, "length")


def test_a_prompt_longer_than_the_context_is_refused_and_the_others_are_not(asking, served):
    rows = asking(served, model="toy")(PROMPT, f"{PROMPT} " * CONTEXT, PROMPT)
    assert [row.error is None for row in rows] == [True, False, True]
    assert "HTTP 400" in rows[1].error
    assert f"maximum context length is {CONTEXT} tokens" in rows[1].error
    assert (rows[1].text, rows[1].finish_reason) == ("", None)


SCHEMA = {
    "type": "object",
    "properties": {"grade": {"enum": ["A", "B"]}},
    "required": ["grade"],
    "additionalProperties": False,
}


def test_completions_are_held_to_a_form(asking, served):
    def texts(**form):
        rows = asking(served, model="toy", max_tokens=60, structured=form)(*[PROMPT] * 6)
        assert [row.error for row in rows] == [None] * 6
        return {row.text for row in rows}

    assert texts(choice=["gruesome", "splendid"]) <= {"gruesome", "splendid"}
    assert all(len(text) == 4 and text.isdigit() for text in texts(regex="[0-9]{4}"))
    for text in texts(json_schema=SCHEMA):  # the toy may add blanks until it has no tokens left
        bare = "".join(text.split())
        assert bare
        assert any(form.startswith(bare) for form in ('{"grade":"A"}', '{"grade":"B"}'))


def test_a_model_that_the_server_does_not_have_is_told_as_wrong_input(asking, served):
    with pytest.raises(ConfigError, match=r"404 .*generate\.model 'tox'.*does not exist"):
        asking(served, model="tox")(PROMPT)


def test_a_setting_that_the_server_refuses_is_no_fault_of_the_row(asking, served):
    ask = asking(served, model="toy", max_tokens=CONTEXT + 1)
    with pytest.raises(ConfigError, match=r"HTTP 400 to 'max_tokens' of \[generate\]"):
        ask(PROMPT)
