"""Endpoints that fail at some prompts, or answer what cannot be stored."""

import pytest
from poisonous_plugins import ServesPoison
from rude_server import RudeServer, Say, answered

from engine.errors import EngineLostError
from engine.generate.engine import Prompt, Setup
from engine.generate.engines.openai_engine import OpenAIEngine
from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources


@pytest.fixture
def endpoint(toy):
    """Start an engine that asks a server; both end with the test."""
    started = []

    def start(server, **resources):
        asked = ["generate.engine=openai", "generate.model=m"]
        pool = make_plan(load_study(toy / "study.toml", asked)).pools[0]
        where = Resources(endpoint=server.url, **resources)
        engine = OpenAIEngine(Setup(Store.open(str(toy / "root")), pool.config, where, pool.model))
        started.extend([engine, server])
        return lambda texts: sorted(
            engine.complete(
                Prompt(pool.row("good", at), text, pool) for at, text in enumerate(texts)
            ),
            key=lambda one: one.row.index,
        )

    yield start
    for one in started:
        one.close()


def test_a_prompt_at_which_an_endpoint_always_fails_is_an_error_row(endpoint):
    ask = endpoint(ServesPoison(), patience_s=1.5)
    answers = ask(["one", "poison", "two"])
    assert [one.text for one in answers] == ["you said one", "", "you said two"]
    assert answers[1].error == "the endpoint answers others, but not this: HTTP 500: as told"


def test_an_endpoint_that_stops_answering_everybody_is_lost_all_the_same(endpoint):
    server = RudeServer(Say(200, answered("fine")), always=Say(500))
    ask = endpoint(server, patience_s=1.5, max_num_seqs=1)
    with pytest.raises(EngineLostError, match="HTTP 500"):
        ask(["one", "two"])


@pytest.mark.parametrize(
    "body", [answered("a \ud800 b"), answered("a X b").replace("X", "\\udfff")]
)
def test_a_lone_surrogate_from_an_endpoint_is_no_reason_to_ask_again(endpoint, body):
    server = RudeServer(Say(200, body))
    (answer,) = endpoint(server, patience_s=5)(["one"])
    assert (answer.text, answer.error) == ("a ? b", None)
    assert len(server.asked) == 1
