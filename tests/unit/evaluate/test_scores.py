import numpy as np
import pytest

from engine.evaluate.intervals import mean_interval
from engine.evaluate.metric import scores


def test_scores_are_those_worked_out_by_hand():
    # label 0: TP 2, FP 1, FN 1; label 1: TP 1, FP 1, FN 1; label 2 neither occurs nor is predicted
    found = scores([0, 0, 0, 1, 1], [0, 0, 1, 1, 0], labels=3)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.class_f1 == pytest.approx([4 / 6, 2 / 4, 0.0])
    assert found.macro_f1 == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_a_label_that_is_never_predicted_counts_with_zero():
    assert scores([0, 1], [0, 0], labels=2).macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_names_of_the_classes_do_not_matter():
    rng = np.random.default_rng(0)
    gold, predicted = rng.integers(0, 4, size=(2, 200))
    rename = np.array([2, 3, 0, 1])
    plain = scores(gold.tolist(), predicted.tolist(), 4)
    renamed = scores(rename[gold].tolist(), rename[predicted].tolist(), 4)
    assert renamed.macro_f1 == pytest.approx(plain.macro_f1)
    assert renamed.accuracy == plain.accuracy


def test_scores_of_nothing_or_of_unequal_rows_are_errors():
    with pytest.raises(ValueError, match="no rows"):
        scores([], [], 2)
    with pytest.raises(ValueError, match="2 gold labels, but 1"):
        scores([0, 1], [0], 2)


def test_the_interval_is_students():
    # mean 3, standard error sqrt(2.5 / 5), t(0.975, 4) = 2.776445
    found = mean_interval([1, 2, 3, 4, 5])
    assert found.value == 3
    assert found.high - 3 == pytest.approx(2.776445 * np.sqrt(0.5), rel=1e-6)
    assert 3 - found.low == pytest.approx(found.high - 3)


def test_one_value_has_no_interval():
    assert mean_interval([0.5])[:3] == (0.5, None, None)


def test_a_higher_level_is_wider():
    narrow, wide = mean_interval([1, 2, 4], 0.8), mean_interval([1, 2, 4], 0.99)
    assert wide.low < narrow.low < narrow.high < wide.high
