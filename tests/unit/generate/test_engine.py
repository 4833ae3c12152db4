"""What holds for every engine."""

import pytest
from rude_server import RudeServer

from engine.generate.engine import ENGINES, Completion, Prompt, Setup, engine_class
from engine.plan.plan import make_plan
from engine.steps.pool import by_fingerprint
from engine.store.store import Store
from engine.study.config import GenerateConfig
from engine.study.load import load_study
from engine.study.resources import Resources


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, store, *overrides):
    plan = make_plan(load_study(toy / "study.toml", overrides))
    for rows in plan.inputs():
        rows.publish(store)
    return plan.pools[0]


@pytest.fixture
def endpoint(monkeypatch):
    """What the engine ``openai`` asks; nobody has told it to be rude."""
    server = RudeServer()
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    yield
    server.close()


# vLLM's threads would stay in this process: test_vllm.py asks it in processes of its own
@pytest.mark.parametrize("name", sorted(set(ENGINES) - {"vllm"}))
def test_every_engine_answers_each_prompt_once(toy, store, tiny_llm, endpoint, name):
    own = {"engine": name, "strategy": "zero_shot", "model": tiny_llm, "max_tokens": 9}
    pool = planned(toy, store, *(f"generate.{key}={value}" for key, value in own.items()))
    engine = engine_class(name)(Setup(store, pool.config, Resources(), pool.model))
    prompts = [
        Prompt(pool.row(slot, i), f"{slot} {i}", pool) for i in range(5) for slot in pool.slots
    ]
    answers = list(engine.complete(iter(prompts)))
    assert sorted(map(str, (answer.row for answer in answers))) == sorted(
        str(prompt.row) for prompt in prompts
    )
    assert all(isinstance(answer, Completion) and answer.error is None for answer in answers)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_engine_reads_what_it_starts_with_and_what_there_is(name):
    assert engine_class(name).starts_with <= engine_class(name).reads
    assert engine_class(name).reads <= set(GenerateConfig.model_fields)


def test_pools_of_one_study_are_told_apart(toy):
    plan = make_plan(
        load_study(
            toy / "study.toml",
            ["generate.engine=verbatim", "factors.strategy=['zero_shot', 'few_shot']"],
        )
    )
    assert len(by_fingerprint(plan.pools)) == 2
    assert len({pool.folder for pool in plan.pools}) == 2
