"""Spaces that are easily got wrong: what needs, excludes or hides something else."""

import pytest

from engine.errors import ConfigError
from engine.plan.plan import READERS
from engine.search.sampler import Sampler
from engine.search.space import Dimension, Space, key_of
from engine.study.factors import conditions
from engine.study.search_config import Range


def asked(file, count, worth=lambda point: 0.5):
    sampler = Sampler(Space(file), file.study.search)
    found = []
    while len(found) < count and (proposed := sampler.ask()):
        found.append(proposed.point)
        sampler.tell(proposed.number, [worth(proposed.point)], is_whole=True)
    return found


def levels(condition):
    return {k: v for k, v in condition.levels.items() if v is not None and k != "quantity"}


@pytest.mark.parametrize(
    "factors",
    [
        "strategy = ['zero_shot', 'topic']\nengine = ['recorded', 'transformers']",
        "labelling = ['conditioned', 'left_to_right']\nstrategy = ['zero_shot', 'template']",
        "epochs = [1.0, 2.0]\ntrainer = ['head', 'finetune']",
    ],
)
def test_switches_are_drawn_in_their_own_order_whatever_the_file_s(study, factors):
    file = study(f"[factors]\n{factors}")
    assert len(list(Space(file).points())) == len(conditions(file, READERS))


def test_a_switch_that_the_study_s_own_strategy_does_not_read_is_drawn(study):
    file = study(
        "[generate]\nstrategy = 'template'\n[factors]\n"
        "labelling = ['conditioned', 'left_to_right']\nstrategy = ['zero_shot', 'template']"
    )
    assert any("labelling" in point for point in Space(file).points())


@pytest.mark.parametrize(
    "factors",
    [
        "patience = [2, 3]\nevaluate_every = [10, 20]",
        "min_tokens = [300]\nmax_tokens = [512]",
        "patience = {low = 2, high = 3}\nevaluate_every = [10, 20]",
    ],
)
def test_factors_that_need_each_other_are_searched(study, factors):
    next(Space(study(f"[factors]\n{factors}")).cover())


@pytest.mark.parametrize(
    "factors",
    [
        "temperature = {low = 0, high = 1}",
        "min_tokens = {low = 1, high = 200}\nmax_tokens = {low = 100, high = 256}",
    ],
)
def test_what_is_proposed_can_be_made(study, factors):
    file = study(f"[factors]\n{factors}\n[search]\nsampler = 'random'")
    for point in asked(file, 100):
        Space(file).condition(point, 10)


@pytest.mark.parametrize("factor", ["steps = {low = 1, high = 20}", "steps = {low = 1, high = 40}"])
def test_a_range_is_tried_out_before_there_is_said_to_be_no_more(study, factor):
    file = study(f"[factors]\n{factor}")
    assert len(asked(file, 20, lambda point: -abs(point["steps"] - 10))) == 20


@pytest.mark.parametrize(
    "size",
    ["size = [{name = 'a', quantity = 10}, {name = 'b', quantity = 20}]", "quantity = ['many']"],
)
def test_quantities_that_are_no_numbers_are_refused(study, size):
    with pytest.raises(ConfigError, match="quantity"):
        Space(study(f"[factors]\nstrategy = ['zero_shot', 'topic']\n{size}"))


@pytest.mark.parametrize("size", ["quantity = [1.5, 20]", "quantity = [true, 20]"])
def test_quantities_that_are_not_whole_are_refused(study, size):
    with pytest.raises(ConfigError, match="quantity"):
        Space(study(f"[factors]\nstrategy = ['zero_shot', 'topic']\n{size}"))


def test_a_step_that_is_not_whole_is_refused_for_a_whole_field(study):
    with pytest.raises(ConfigError, match="step"):
        asked(study("[factors]\nsteps = {low = 1, high = 3, step = 0.5}"), 3)


def test_a_high_end_that_no_step_reaches_is_not_tried(study):
    file = study("[factors]\nsteps = {low = 1, high = 6, step = 2}\n[search]\nsampler = 'random'")
    try:
        tried = {point["steps"] for point in asked(file, 20)}
    except ConfigError:
        return  # to refuse it is as good
    assert {point["steps"] for point in Space(file).cover()} <= tried


def test_a_start_that_is_on_no_step_is_refused(study):
    text = "[factors]\nsteps = {low = 1, high = 5, step = 2}\n[search]\nstart_from = [{steps = 2}]"
    with pytest.raises(ConfigError, match="steps is 2"):
        Space(study(text))


def test_a_start_that_is_not_whole_is_refused(study):
    text = "[factors]\nsteps = {low = 1, high = 5}\n[search]\nstart_from = [{steps = 2.5}]"
    with pytest.raises(ConfigError, match=r"steps is 2\.5"):
        Space(study(text))


def test_ends_of_more_than_three_digits_are_among_the_values():
    one = Dimension("x", (), Range(low=0.01234, high=0.01251), "train.x")
    assert [one.tidy(0.01234), one.tidy(0.01251)] == [0.01234, 0.01251]


def test_an_exclusion_by_levels_that_do_not_apply_is_that_of_a_grid(study):
    file = study(
        "[factors]\nstrategy = ['zero_shot', 'few_shot']\nshots = [1, 3]\n"
        "[[exclude]]\nstrategy = 'zero_shot'\nshots = [1, 3]"
    )
    assert list(Space(file).points()) == list(map(levels, conditions(file, READERS)))


def test_bundles_of_which_some_levels_do_not_apply_are_those_of_a_grid(study):
    file = study(
        "[factors]\nextra = [{name = 'x', shots = 1}, {name = 'y', shot_rows = 5}, "
        "{name = 'z', learning_rate = 1e-3}]"
    )
    assert len(list(Space(file).points())) == len(conditions(file, READERS))


def test_the_cover_has_levels_that_are_left_out_beside_the_first_of_another(study):
    file = study(
        "[factors]\ntemperature = [0.5, 1.0]\ntop_p = [0.9, 1.0]\n"
        "[[exclude]]\ntemperature = 1.0\ntop_p = 0.9"
    )
    assert {point["temperature"] for point in Space(file).cover()} == {0.5, 1.0}


def test_no_point_comes_twice_after_many_starts(study):
    starts = ", ".join(f"{{steps = {at}}}" for at in range(1, 61))
    file = study(
        f"[factors]\nsteps = {list(range(1, 71))}\n"
        f"[search]\nsampler = 'grid'\nstart_from = [{starts}]"
    )
    found = asked(file, 100)
    assert len(set(map(key_of, found))) == len(found)


@pytest.mark.parametrize(
    "text",
    [
        "[factors]\nstrategy = ['zero_shot']\n[[exclude]]\nstrategy = 'zero_shot'",
        "[factors]\nstrategy = ['zero_shot']\n[mix]\nquantity = 0",
        "[factors]\nstrategy = ['zero_shot']\nquantity = {low = 1, high = 9}\n"
        "[search]\nrungs = [5]",
        "[factors]\nstrategy = ['zero_shot', 'topic']\n[[exclude]]\nstrategy = 'topic'\n"
        "[search]\nstart_from = [{strategy = 'topic'}]",
    ],
)
def test_what_comes_to_no_trial_is_refused(study, text):
    with pytest.raises(ConfigError):
        Space(study(text))
