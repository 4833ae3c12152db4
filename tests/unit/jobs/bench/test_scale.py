import time

import pytest

from engine.generate.engine import Prompt, Setup
from engine.plan.plan import make_plan
from engine.store.schema import RowId
from engine.store.store import Store
from engine.study.config import GenerateConfig
from engine.study.load import load_study
from engine.study.resources import Resources
from jobs.bench.delay_engine import DelayEngine, length
from jobs.bench.scale import _Pace


@pytest.fixture
def pool(toy):
    return make_plan(load_study(toy / "study.toml", [])).pools[0]


def test_an_engine_takes_the_time_that_its_tokens_take(pool, tmp_path):
    args = {"tokens_per_s": 5000.0}
    where = Resources(max_num_seqs=4)
    config = GenerateConfig(engine="jobs.bench.delay_engine:DelayEngine", engine_args=args)
    engine = DelayEngine(Setup(Store.open(str(tmp_path)), config, where, None))
    prompts = [Prompt(RowId(pool.fingerprint, "good", at), f"text {at}", pool) for at in range(40)]
    tokens = {prompt.row: length(prompt) for prompt in prompts}
    assert len(set(tokens.values())) > 10
    began = time.monotonic()
    answers = list(engine.complete(iter(prompts)))
    took = time.monotonic() - began
    assert {one.row: one.completion_tokens for one in answers} == tokens
    ideal = sum(tokens.values()) / 5000
    assert took > ideal - 0.02
    assert answers != sorted(answers, key=lambda one: one.row.index)  # short ones are done first


def test_a_tail_is_what_the_end_took_beyond_its_share():
    pace = _Pace()
    pace._seen = [(0.0, 0), (10.0, 800), (11.0, 900), (14.0, 1000)]
    assert pace.tail_s(1000, 100, 100.0) == 2.0
