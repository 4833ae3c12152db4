"""Which prompts an engine raises for is found by halving; every other one is answered."""

import pytest
from poisonous_plugins import BreaksDown, Dislikes
from toy_study import make_toy

from engine.errors import EngineLostError
from engine.generate.engine import Prompt
from engine.generate.halving import HalvingEngine
from engine.plan.plan import make_plan
from engine.study.load import load_study


@pytest.fixture(scope="module")
def pool(tmp_path_factory, tiny_model):
    """A pool that nothing was made of."""
    folder = make_toy(tmp_path_factory.mktemp("pool"), tiny_model)
    return make_plan(load_study(folder / "study.toml", [])).pools[0]


def prompts_of(pool, count):
    return [Prompt(pool.row("good", index), f"visit {index}", pool) for index in range(count)]


def errors(answers):
    return {one.row.index: one.error for one in answers if one.error}


@pytest.mark.parametrize("bad", [{0}, {63}, {17}, {0, 1, 2, 3}, {5, 31, 32, 60}, set(range(1, 64))])
def test_the_prompts_that_an_engine_raises_for_are_found_and_every_other_is_answered(pool, bad):
    engine = Dislikes(bad)
    answers = list(HalvingEngine(engine).complete(prompts_of(pool, 64)))
    assert sorted(one.row.index for one in answers) == list(range(64))
    says = "the engine raised ValueError: cannot bear {}"
    assert errors(answers) == {index: says.format(index) for index in bad}
    assert all(one.text == f"visit {one.row.index}" for one in answers if not one.error)
    assert len(engine.asked) <= 64 + 8 * len(bad)


@pytest.mark.parametrize("answers", [0, 1, 40])
def test_an_engine_that_breaks_down_is_lost_and_blames_no_prompt(pool, answers):
    asking, heard = HalvingEngine(BreaksDown(answers)), []
    with pytest.raises(EngineLostError, match=r"answers nothing.*the device is gone"):
        heard.extend(asking.complete(prompts_of(pool, 64)))
    assert not errors(heard)


def test_a_call_of_bad_prompts_alone_is_no_fault_of_an_engine_that_answered_before(pool):
    asking = HalvingEngine(Dislikes({4, 5, 6, 7}))
    prompts = prompts_of(pool, 8)
    assert not errors(asking.complete(prompts[:4]))
    assert set(errors(asking.complete(prompts[4:]))) == {4, 5, 6, 7}
