"""What a comparison of conditions comes to, by hand where it can be."""

import numpy as np
import pytest
from scipy import stats

from engine.evaluate.bootstrap import drawn_rows, weighted_scores
from engine.evaluate.metric import scores
from engine.evaluate.trials import Arm, Spread, Trials


def arm(*runs, is_random=True):
    return Arm({0: dict(enumerate(runs))}, is_random)


def trials(predicted, arms, gold, metric="accuracy"):
    said = {name: np.array(own) for name, own in predicted.items()}
    return Trials(np.array(gold), 2, arms, said, metric)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_rows_that_count_once_give_the_scores_that_a_report_shows(metric):
    random = np.random.default_rng(1)
    gold, said = random.integers(4, size=50), random.integers(3, size=(7, 50))
    found = weighted_scores(gold, said, 5, metric, np.ones((1, 50), np.float32))
    expected = [getattr(scores(gold.tolist(), own.tolist(), 5), metric) for own in said]
    assert found[0] == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_a_row_that_counts_twice_is_as_two_rows(metric):
    random = np.random.default_rng(2)
    gold, said = random.integers(3, size=20), random.integers(3, size=(2, 20))
    counts = random.integers(4, size=(1, 20))
    found = weighted_scores(gold, said, 3, metric, counts.astype(np.float32))
    twice = np.repeat(np.arange(20), counts[0])
    expected = [
        getattr(scores(gold[twice].tolist(), own[twice].tolist(), 3), metric) for own in said
    ]
    assert found[0] == pytest.approx(expected)


def test_each_resample_draws_as_many_rows_as_there_are():
    counts = drawn_rows(30)
    assert counts.shape == (1000, 30)
    assert set(counts.sum(axis=1)) == {30.0}


def test_without_other_draws_a_difference_is_as_sure_as_its_rows():
    # of 400 rows the one has 300 right, the other 260, all of them among the 300
    gold = [0] * 400
    predicted = {"one": [0] * 300 + [1] * 100, "other": [0] * 260 + [1] * 140}
    made = trials(predicted, [arm("one", is_random=False), arm("other", is_random=False)], gold)
    found = made.contrast({0: 1.0, 1: -1.0})
    error = np.sqrt(0.1 * 0.9 / 400)  # McNemar: 40 rows differ, all one way
    assert found.value == pytest.approx(0.1)
    assert found.high - found.low == pytest.approx(2 * 1.966 * error, rel=0.1)
    assert found.p == pytest.approx(2 * stats.norm.sf(0.1 / error), rel=0.5)


def test_one_training_each_says_nothing_of_others():
    predicted = {"one": [0] * 9 + [1], "other": [0] * 5 + [1] * 5}
    found = trials(predicted, [arm("one"), arm("other")], [0] * 10).contrast({0: 1.0, 1: -1.0})
    assert found.p is None
    assert found.draws == 1


def test_what_trainings_do_is_welch_s_test_where_rows_do_nothing():
    # every run is right on as many rows of each kind, so that no row is easier than another: what
    # rows do to a difference is small beside what trainings do
    right = {"a": [700, 740, 790], "b": [560, 500, 610]}
    predicted, random = {}, np.random.default_rng(3)
    for name, counts in right.items():
        for repeat, count in enumerate(counts):
            row = np.ones(1000, int)
            row[random.permutation(1000)[:count]] = 0
            predicted[f"{name}{repeat}"] = row
    made = trials(predicted, [arm("a0", "a1", "a2"), arm("b0", "b1", "b2")], [0] * 1000)
    found = made.contrast({0: 1.0, 1: -1.0})
    a, b = (np.array(own) / 1000 for own in right.values())
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high), abs=0.02)


def test_replicates_are_compared_one_by_one():
    # both conditions gain the same from a replicate's rows, so that their difference is sure
    counts = {"a": [600, 700, 800, 900], "b": [550, 650, 750, 850]}
    predicted = {
        f"{name}{draw}": [0] * count + [1] * (1000 - count)
        for name, own in counts.items()
        for draw, count in enumerate(own)
    }
    arms = [Arm({draw: {0: f"{name}{draw}"} for draw in range(4)}) for name in counts]
    found = trials(predicted, arms, [0] * 1000).contrast({0: 1.0, 1: -1.0})
    assert found.draws == 4
    assert found.value == pytest.approx(0.05)
    assert found.high - found.low < 0.04


def test_replicates_that_came_to_the_same_runs_are_one_draw():
    predicted = {
        f"{name}{one}": [0] * (5 + one) + [1] * (5 - one) for name in "ab" for one in (0, 1)
    }
    same = [Arm({draw: {0: f"{name}0", 1: f"{name}1"} for draw in range(3)}) for name in "ab"]
    assert trials(predicted, same, [0] * 10).contrast({0: 1.0, 1: -1.0}).draws == 2


def test_a_condition_that_is_the_same_in_all_replicates_still_has_its_trainings_spread():
    random = np.random.default_rng(4)
    skill = {"same0": 0.6, "same1": 0.9, "other0": 0.8, "other1": 0.8, "other2": 0.8}
    predicted = {run: (random.random(500) > share).astype(int) for run, share in skill.items()}
    same = Arm({draw: {0: "same0", 1: "same1"} for draw in range(3)})
    other = Arm({draw: {0: f"other{draw}"} for draw in range(3)})
    found = trials(predicted, [same, other], [0] * 500).contrast({0: 1.0, 1: -1.0})
    assert found.high - found.low > 0.5  # as two trainings with 30 points between them leave it


def test_conditions_without_a_draw_in_common_are_not_compared():
    made = trials({"a": [0], "b": [0]}, [Arm({0: {0: "a"}}), Arm({1: {0: "b"}})], [0])
    assert made.contrast({0: 1.0, 1: -1.0}) is None


def test_the_same_predictions_differ_in_nothing():
    made = trials({"a": [0, 1], "b": [1, 1]}, [arm("a", "b"), arm("a", "b")], [0, 1])
    found = made.contrast({0: 1.0, 1: -1.0})
    assert (found.value, found.p) == (0.0, pytest.approx(1.0))


def one(by_rows, by_draws, freedom, value=2.0):
    spread = (np.array([number]) for number in (value, by_rows, by_draws, freedom))
    return Spread(*spread, rows=10**6, draws=5, is_told=True).first()


def test_p_is_the_normal_s_where_rows_are_all_and_student_s_where_draws_are():
    assert one(1.0, 0.0, 1.0).p == pytest.approx(2 * stats.norm.sf(2), rel=1e-3)
    assert one(0.0, 1.0, 4.0).p == pytest.approx(2 * stats.t.sf(2, 4), rel=1e-3)
    between = one(0.5, 0.5, 4.0)
    assert 2 * stats.norm.sf(2) < between.p < 2 * stats.t.sf(2, 4)


def test_an_interval_has_student_s_width_with_satterthwaite_s_freedom():
    found = one(1.0, 3.0, 4.0)
    freedom = 4.0**2 / (1 / 10**6 + 3.0**2 / 4)
    assert found.high - found.value == pytest.approx(2 * stats.t.ppf(0.975, freedom), rel=1e-4)


def test_one_training_that_serves_all_replicates_says_nothing_of_others():
    # recorded rows without real ones: replicates do not differ, and there are no repeats
    random = np.random.default_rng(3)
    predicted = {name: random.integers(2, size=100) for name in ("fixed", "a", "b", "c")}
    others = Arm({place: {0: name} for place, name in enumerate("abc")})
    for is_random in (True, False):
        fixed = Arm({place: {0: "fixed"} for place in range(3)}, is_random)
        found = trials(predicted, [fixed, others], [0] * 100).contrast({0: 1.0, 1: -1.0})
        assert (found.p is None) == is_random
