"""Knees and real-row equivalents of curves that are known."""

import numpy as np
import pytest

from engine.evaluate.curve import Curve, equivalent, knee
from engine.evaluate.trials import Arm, Trials

ROWS = 20_000


def trials(*scores, spread=0.0):
    """Return conditions that are right on so many rows, in trainings that differ by the spread."""
    predicted, arms = {}, []
    for place, score in enumerate(scores):
        runs = {}
        for repeat, off in enumerate((-spread, 0.0, spread)):
            right = round(ROWS * (score + off))
            predicted[f"{place}-{repeat}"] = np.repeat([0, 1], [right, ROWS - right])
            runs[repeat] = f"{place}-{repeat}"
        arms.append(Arm({0: runs}))
    return Trials(np.zeros(ROWS, int), 2, arms, predicted, "accuracy")


def test_a_score_on_the_curve_is_worth_the_rows_of_that_point():
    made = trials(0.7, 0.8, 0.9, 0.8, spread=0.01)
    found = equivalent(made, Curve([100, 200, 400], [0, 1, 2]), 3)
    assert found.rows == pytest.approx(200)
    assert found.low < 200 < found.high


def test_between_two_points_rows_lie_on_the_logarithm():
    found = equivalent(trials(0.7, 0.8, 0.75), Curve([100, 400], [0, 1]), 2)
    assert found.rows == pytest.approx(200, rel=0.02)


def test_beyond_the_curve_there_is_no_number():
    made = trials(0.7, 0.8, 0.95, 0.5)
    curve = Curve([100, 400], [0, 1])
    assert equivalent(made, curve, 2)[:3] == (np.inf, np.inf, np.inf)
    assert equivalent(made, curve, 3)[:3] == (-np.inf, -np.inf, -np.inf)


def test_noisier_trainings_make_a_wider_interval():
    curve = Curve([100, 1000], [0, 1])
    sure = equivalent(trials(0.7, 0.9, 0.8), curve, 2)
    unsure = equivalent(trials(0.7, 0.9, 0.8, spread=0.02), curve, 2)
    assert unsure.low < sure.low < sure.high < unsure.high
    assert equivalent(trials(0.7, 0.9, 0.8, spread=0.09), curve, 2)[1:3] == (-np.inf, np.inf)


def test_one_point_tells_more_or_less():
    made = trials(0.7, 0.8, 0.7)
    assert equivalent(made, Curve([100], [0]), 1).low == np.inf
    assert equivalent(made, Curve([100], [0]), 2)[:3] == (pytest.approx(100), -np.inf, np.inf)


def test_more_rows_never_score_less_but_by_noise():
    # the dip at 200 is smoothed: as good as 0.8 is first reached behind it
    found = equivalent(trials(0.74, 0.70, 0.90, 0.80), Curve([100, 200, 400], [0, 1, 2]), 3)
    assert 200 < found.rows < 400


def test_a_knee_is_where_a_point_is_left_to_gain():
    # from 100 to 400 rows 21 points are gained, the last of them in the last 21st of the logarithm
    found = knee(trials(0.70, 0.91), Curve([100, 400], [0, 1]))
    assert found.rows == pytest.approx(400 * 4 ** (-1 / 21), rel=1e-3)
    assert found.high <= 400


def test_a_flat_curve_is_enough_from_its_fewest_rows_on():
    assert knee(trials(0.795, 0.80), Curve([100, 400], [0, 1])).rows == -np.inf
