"""The engine ``openai``, asking a server that misbehaves."""

import asyncio
import logging
import pickle
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import cloudpickle
import pytest
from asking_openai import VirtualClock, engines, planned
from rude_server import Cut, Hang, RudeServer, Say, answered, text_of
from toy_study import make_toy

from engine.errors import ConfigError, EngineLostError
from engine.generate.engines.openai_pace import Clock, Pace

KEY = "sk-test-0123456789-this-is-secret"


@pytest.fixture(scope="module")
def pool(tmp_path_factory, tiny_model):
    """A pool; all settings have its fingerprint, so that their rows have the same seeds."""
    return planned(make_toy(tmp_path_factory.mktemp("toy"), tiny_model))


@pytest.fixture
def clock():
    """By what engines wait, and servers note when they are asked."""
    return VirtualClock()


@pytest.fixture
def asking(pool, tmp_path, monkeypatch, clock):
    """Start engines; close them at the end."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with engines(pool, tmp_path, clock) as start:
        yield start


@pytest.fixture
def rude(clock):
    """Start misbehaving servers; close them at the end."""
    servers = []

    def start(*things, **more):
        servers.append(RudeServer(*things, **more, now=clock.now))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


# The misbehaving server

TRANSIENT = {
    "too many requests": Say(429),
    "conflict": Say(409),
    "server error": Say(500),
    "bad gateway": Say(502, "<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    "hang": Hang(),
    "cut before the answer": Cut(),
    "cut within the answer": Cut(after=30),
    "invalid JSON": Say(200, '{"choices": [{"mess'),
    "other JSON": Say(200, '{"choices": []}'),
    "no JSON": Say(200, "<html>Welcome to the wifi</html>", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("thing", TRANSIENT.values(), ids=TRANSIENT)
def test_what_fails_is_asked_again_and_is_no_error_row(asking, rude, thing):
    server = rude(thing, thing)
    timeout = {"request_timeout_s": 1.0} if thing == Hang() else {}
    rows = asking(server.url, {"max_num_seqs": 1, **timeout})("a", "b")
    assert [(row.text, row.error) for row in rows] == [("you said a", None), ("you said b", None)]
    assert [text_of(one.body) for one in server.asked] == ["a", "a", "a", "b"]
    assert len({one.body["seed"] for one in server.asked}) == 2


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry-After": "1"}, 1.0),
        ({"Retry-After": "1.2"}, 1.2),
        ({"retry-after-ms": "900", "Retry-After": "0"}, 0.9),
        ({"Retry-After": "date"}, 290),
    ],
)
def test_a_server_is_left_alone_for_as_long_as_it_asks(asking, rude, headers, least):
    if headers.get("Retry-After") == "date":
        date = datetime.now(UTC) + timedelta(seconds=300)
        headers = {"Retry-After": format_datetime(date, usegmt=True)}
    server = rude(Say(429, headers=headers))
    (row,) = asking(server.url)("a")
    assert row.text == "you said a"
    assert server.gaps()[0] >= least


def test_an_engine_whose_endpoint_answers_nobody_is_lost_after_waits_that_grow(asking, rude, clock):
    server = rude(always=Say(500, '{"error": {"message": "out of memory"}}'))
    started = clock.now()
    with pytest.raises(
        EngineLostError, match=r"no request for 4 s .*HTTP 500: out of memory\..*kept"
    ) as lost:
        asking(server.url, {"patience_s": 4})("a")
    assert lost.value.is_for_good
    assert clock.now() - started >= 4
    assert 2 <= len(server.asked) < 10  # with waits of up to half a second it were about 16


def test_nobody_at_the_endpoint_is_a_lost_engine(asking):
    with pytest.raises(EngineLostError, match=r"no connection.*ConnectError"):
        asking(f"http://127.0.0.1:{free_port()}/v1", {"patience_s": 0.7})("a")


REAL = pytest.mark.parametrize("clock", [Clock()], ids=["real"])  # where answers take time


@REAL
def test_patience_lasts_as_long_as_somebody_is_answered(asking, rude, clock):
    server = rude(*[Say(429, headers={"Retry-After": "2"})], takes_s=0.3)
    ask = asking(server.url, {"patience_s": 1.2, "max_num_seqs": 2})
    rows = ask(*"abcdefghij")
    assert all(row.error is None for row in rows)
    assert len(server.asked) == 11


def test_a_wait_longer_than_patience_ends_with_patience(asking, rude):
    server = rude(Say(429, headers={"Retry-After": "3600"}))
    with pytest.raises(EngineLostError, match="HTTP 429"):
        asking(server.url, {"patience_s": 0.5})("a")


LONG = (
    '{"error": {"message": "too long", "code": "context_length_exceeded", "param": "max_tokens"}}'
)
FILTERED = '{"error": {"message": "harmful", "code": "content_filter", "param": "prompt"}}'


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (Say(400, LONG), "HTTP 400): too long"),
        (Say(400, FILTERED), "HTTP 400): harmful"),
        (Say(413, "<html>too large</html>"), "HTTP 413): <html>too large</html>"),
        (Say(422), "HTTP 422): as told"),
        (Say(200, answered("", finish_reason="content_filter")), "content filter"),
        (Say(200, answered(None, message={"refusal": "I cannot"})), "refuses to answer"),
    ],
)
def test_a_prompt_that_is_never_answered_is_an_error_row(asking, rude, thing, says):
    server = rude(thing)
    rows = asking(server.url, {"max_num_seqs": 1})("a", "b")
    assert says in rows[0].error
    assert (rows[0].text, rows[1].text) == ("", "you said b")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (Say(401), r"does not take the key in the environment variable MY_KEY \(resources\."),
        (Say(403), "does not take the key in the environment variable MY_KEY"),
        (Say(402), "account has nothing left"),
        (Say(429, '{"error": {"code": "insufficient_quota"}}'), "account has nothing left"),
        (Say(404), r"404 when asked for generate\.model 'm': as told.*resources\.endpoint"),
        (Say(400, '{"error": {"message": "no", "param": "top_p"}}'), "HTTP 400 to 'top_p' of"),
    ],
)
def test_what_no_row_can_help_is_told_as_wrong_input(asking, rude, monkeypatch, thing, says):
    monkeypatch.setenv("MY_KEY", KEY)
    server = rude(always=thing)
    with pytest.raises(ConfigError, match=says):
        asking(server.url, {"api_key_env": "MY_KEY"})("a")
    assert len(server.asked) == 1


def test_a_server_that_wants_a_key_and_gets_none_says_which_variable(asking, rude):
    server = rude(always=Say(401))
    with pytest.raises(ConfigError, match=r"wants a key: put it into .*OPENAI_API_KEY"):
        asking(server.url)("a")


ECHO = '{"error": {"message": "bad request of {authorization}"}}'


@pytest.mark.parametrize(
    "thing",
    [
        Say(401, ECHO),
        Say(404, ECHO),
        Say(500, ECHO),
        Say(500, "x" * 286 + "{authorization}"),  # cut off within the key, were it not cleaned
        Say(200, "{authorization}"),
        Say(400, ECHO),
    ],
    ids=["401", "404", "500", "500 and long", "no JSON", "400"],
)
def test_the_key_is_told_nobody(asking, rude, monkeypatch, caplog, thing):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    server = rude(always=replace(thing, headers={"X-Echo": "{authorization}"}))
    told = []
    with caplog.at_level(logging.DEBUG):
        ask = asking(server.url, {"api_key_env": "MY_KEY", "patience_s": 0.5})
        try:
            told += ask("a")
        except (ConfigError, EngineLostError) as error:
            told += [error, error.__cause__, error.__context__, vars(error), pickle.dumps(error)]
    assert told
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    everything = [*told, vars(ask.engine), ask.engine, *(vars(log) for log in caplog.records)]
    assert not any(KEY[:12] in f"{one} {one!r}" for one in everything)
    for pickles in (pickle, cloudpickle):
        with pytest.raises(TypeError):  # so an engine takes its key nowhere
            pickles.dumps(ask.engine)


def test_keys_come_from_the_environment_alone(asking, monkeypatch):
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY .* is not set"):
        asking(None)
    for endpoint in (f"http://me:{KEY}@localhost/v1", f"http://localhost/v1?key={KEY}"):
        with pytest.raises(ConfigError, match=r"resources\.endpoint holds more") as caught:
            asking(endpoint)
        assert KEY not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nand more")
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY .*cannot be a key") as caught:
        asking(None)
    assert KEY not in str(caught.value)


def test_the_environment_may_name_the_endpoint(asking, rude, monkeypatch):
    server = rude()
    ask = asking(server.url)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
    assert [row.text for row in asking(None)("a")] == [row.text for row in ask("a")]
    assert server.asked[0].headers["authorization"] == "Bearer none"


def test_all_calls_together_ask_no_more_at_a_time_than_they_may(asking, rude):
    server = rude(takes_s=0.05)
    ask = asking(server.url, {"max_num_seqs": 5})
    counts = []
    calls = [
        threading.Thread(target=lambda: counts.append(len(ask(*"abcdefghijklmnopqrst"))))
        for _ in range(3)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert (counts, server.most_at_once) == ([20, 20, 20], 5)


def test_prompts_are_taken_as_there_is_room(asking, rude):
    server = rude()
    ask = asking(server.url, {"max_num_seqs": 3})
    taken = []

    def prompts():
        for prompt in ask.prompts("abcdefghijkl"):
            taken.append(prompt)
            yield prompt

    answers = ask.engine.complete(prompts())
    for answered_ in range(1, 9):
        next(answers)
        assert len(taken) <= answered_ + 3
    answers.close()


def test_a_slow_answer_does_not_hold_up_the_others(asking, rude):
    server = rude(Hang())
    ask = asking(server.url, {"max_num_seqs": 2, "request_timeout_s": 1.0})
    order = [one.row.index for one in ask.engine.complete(ask.prompts("abcdef"))]
    assert sorted(order) == list(range(6))
    assert order[-1] in (0, 1)


def test_a_call_that_is_given_up_leaves_its_room_to_others(asking, rude):
    server = rude(Hang(), None, Hang(), None)
    ask = asking(server.url, {"max_num_seqs": 2, "request_timeout_s": 4})
    for _ in range(2):
        answers = ask.engine.complete(ask.prompts("ab"))
        next(answers)  # the other hangs, whichever of them came first
        answers.close()
    assert len(server.asked) == 4  # and none was asked again


def test_closing_ends_what_is_being_asked(asking, rude):
    ask = asking(rude(always=Hang()).url)
    threading.Timer(0.5, ask.engine.close).start()
    with pytest.raises(EngineLostError, match="closed"):
        ask("a", "b")


@REAL  # requests are under way while others wait
def test_requests_keep_to_their_rate(asking, rude, clock):
    server = rude(Say(500))
    rates = {"requests_per_minute": 600, "replicas": [1, 2]}  # this one's share is 5 a second
    assert len(asking(server.url, rates)(*"abcdefg")) == 7
    assert len(server.asked) == 8
    assert server.asked[-1].at - server.asked[0].at >= 7 * 0.2 - 0.1


def test_tokens_keep_to_their_rate_as_they_were_counted(asking, rude):
    server = rude(tokens=40)
    rates = {"tokens_per_minute": 6000, "max_num_seqs": 1}
    asking(server.url, rates, max_tokens=1)(*"abcd")
    assert server.asked[-1].at - server.asked[0].at >= 3 * 0.8 - 0.1


@pytest.mark.parametrize(("taken", "waits_s"), [(150, 1.5), (10, 0.1), (300, 3.0)])
def test_the_next_waits_for_the_tokens_that_were_taken_and_not_for_those_that_were_thought(
    clock, taken, waits_s
):
    async def ask():
        pace = Pace(6000, clock)  # 100 a second
        await pace.wait(150)
        pace.correct(taken - 150)
        await pace.wait(1)

    asyncio.run(ask())
    assert clock.now() == pytest.approx(waits_s)


def test_only_what_differs_from_every_server_s_default_is_sent(asking, rude):
    server = rude()
    asking(server.url)("a")
    asking(
        server.url, presence_penalty=0.5, stop=["x"], engine_args={"extra_body": {"min_p": 0.1}}
    )("a")
    plain, more = (one.body for one in server.asked)
    assert set(plain) == {"model", "messages", "seed", "max_tokens", "temperature", "top_p"}
    extra = {"presence_penalty": 0.5, "stop": ["x"], "min_p": 0.1}
    assert more == {**plain, **extra}


# What is refused before anything is asked


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "textmill-demo"}, "'textmill-demo', the default, which no endpoint knows"),
        ({"engine_args": {"extra_bodi": {}}}, "'extra_bodi'.*'extra_body'"),
        ({"engine_args": {"extra_body": 5}}, "extra_body is 5; it is a table"),
        ({"engine_args": {"logprobs": 1}}, "logprobs is 1; it is true or false"),
        ({"engine_args": {"extra_body": {"seed": 5}}}, "extra_body sets 'seed'"),
    ],
)
def test_what_cannot_be_asked_is_refused_when_it_is_planned(toy, settings, says):
    with pytest.raises(ConfigError, match=says):
        planned(toy, **settings)


def test_openai_s_own_endpoint_holds_to_no_choice(asking, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match="to a json_schema only"):
        asking(None, structured={"choice": ["a", "b"]})("a")


def test_the_place_is_no_part_of_a_row_s_identity_but_the_model_is(toy):
    names = {planned(toy, **own).fingerprint for own in ({}, {"model": "n"}, {"revision": "v2"})}
    assert len(names) == 3
    assert planned(toy).fingerprint in names


# The real server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
