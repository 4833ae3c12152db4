from fractions import Fraction
from math import ceil
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.search.stopping import RULES
from engine.study.search_config import SearchConfig

asha, median, none = RULES["asha"], RULES["median"], RULES["none"]
few = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # so that many are equal
measured = st.dictionaries(st.integers(0, 40), few | st.floats(0, 1), min_size=1, max_size=20)
factors = st.integers(11, 60).map(lambda tenths: tenths / 10)
rules = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def test_there_is_a_rule_for_whatever_a_study_may_say():
    assert set(get_args(SearchConfig.model_fields["stopping"].annotation)) == set(RULES)


@rules
@given(scores=measured, factor=factors, data=st.data())
def test_the_order_in_which_trials_were_measured_does_not_matter(rule, scores, factor, data):
    shuffled = dict(data.draw(st.permutations(list(scores.items()))))
    assert rule(shuffled, factor) == rule(scores, factor)


@rules
@given(scores=measured, factor=factors)
def test_nobody_that_stops_did_better_than_one_that_goes_on(rule, scores, factor):
    on = rule(scores, factor)
    assert on
    assert on <= set(scores)
    stopped = [score for number, score in scores.items() if number not in on]
    assert max(stopped, default=0.0) <= min(scores[number] for number in on)


@rules
def test_where_nobody_was_measured_nobody_goes_on(rule):
    assert rule({}, 3.0) == set()


@given(scores=measured, factor=factors)
def test_asha_counts_in_fractions_as_one_would_by_hand(scores, factor):
    exact = ceil(len(scores) / Fraction(str(factor)))
    assert len(asha(scores, factor)) == exact


TRIALS_FACTOR_ON = [
    (1, 3, 1), (2, 3, 1), (3, 3, 1), (4, 3, 2), (8, 3, 3), (9, 3, 3), (10, 3, 4), (5, 2, 3),
    (3, 1.5, 2), (7, 3.5, 2), (21, 1.4, 15),  # 21 / 1.4 is 15.000000000000002 to a float
]  # fmt: skip


@pytest.mark.parametrize(("trials", "factor", "on"), TRIALS_FACTOR_ON)
def test_asha_lets_one_in_so_many_go_on_rounded_up(trials, factor, on):
    scores = {number: (number * 7 % trials) / trials for number in range(trials)}
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:on]
    assert asha(scores, factor) == set(best)


def test_of_equals_asha_takes_those_that_were_proposed_first():
    assert asha({5: 0.5, 2: 0.5, 9: 0.5, 4: 0.1}, 2) == {2, 5}
    assert asha({5: 0.5, 2: 0.5, 9: 0.6, 4: 0.1}, 2) == {9, 2}


@given(scores=measured, factor=factors, data=st.data())
def test_one_that_goes_on_would_do_so_with_a_better_score(scores, factor, data):
    number = data.draw(st.sampled_from(sorted(asha(scores, factor))))
    better = data.draw(st.floats(scores[number], 1.0))
    assert number in asha({**scores, number: better}, factor)


def test_not_below_the_median_is_what_goes_on():
    assert median({0: 0.1, 1: 0.5, 2: 0.9}, 3) == {1, 2}
    assert median({0: 0.1, 1: 0.4, 2: 0.6, 3: 0.9}, 3) == {2, 3}  # the median is 0.5
    assert median({0: 0.1, 1: 0.5, 2: 0.5, 3: 0.5}, 3) == {1, 2, 3}
    assert median({7: 0.2}, 3) == {7}


@given(scores=measured, factor=factors)
def test_at_least_half_are_not_below_the_median_whatever_the_factor(scores, factor):
    on = median(scores, factor)
    assert 2 * len(on) >= len(scores)
    assert on == median(scores, factor + 1)


@given(scores=measured, factor=factors)
def test_all_go_on_where_nothing_stops_them(scores, factor):
    assert none(scores, factor) == set(scores)
