"""Claims hold as often as they say, on fewer simulated studies than the README's."""

import json

import numpy as np
import pytest
from scipy import stats

from jobs.bench import statistics as bench_statistics
from jobs.bench.simulated import Simulation

STUDIES = 150
MORE, NOISY = Simulation(repeats=5, rows=500), Simulation(repeats=3, rows=500, seed=0.3)


def share(trial, world):
    random = np.random.default_rng(7)
    return sum(trial(world, random) for _ in range(STUDIES)) / STUDIES


def may_be(found, expected):
    """Tell whether so many of the studies are no surprise where that is the share of all."""
    low, high = stats.binom.interval(0.998, STUDIES, expected)
    return low <= found * STUDIES <= high


@pytest.mark.parametrize("world", [MORE, NOISY])
@pytest.mark.parametrize("trial", [bench_statistics._difference, bench_statistics._worth])
def test_intervals_hold_what_they_are_of(trial, world):
    assert may_be(share(trial, world), 0.95)


def test_a_bootstrap_over_three_trainings_does_not():
    assert not may_be(share(bench_statistics._difference_by_bootstrap, NOISY), 0.95)


def test_among_equals_the_best_is_seldom_said_to_be_better(monkeypatch):
    assert share(bench_statistics._leader_alarm, NOISY) <= 0.05

    def unadjusted(trials, leader, others):
        found = [trials.contrast({leader: 1.0, other: -1.0}) for other in others]
        return bench_statistics.holm([one for one in found if one])

    monkeypatch.setattr(bench_statistics, "against", unadjusted)
    # as it would be if the choice of the best were no matter
    assert share(bench_statistics._leader_alarm, NOISY) > 0.05


def test_true_scores_are_those_of_many_rows():
    trials = Simulation(rows=50_000, repeats=20, labels=3).simulate([0.7], np.random.default_rng(1))
    assert np.mean(trials.values(0)) == pytest.approx(0.7, abs=0.01)


def test_the_command_tells_each_figure_and_the_time_of_a_large_study():
    told = json.loads(bench_statistics.bench_statistics(simulations=1, conditions=200, json=True))
    assert {one["kind"] for one in told["figures"]} == {"coverage", "false alarms", "power"}
    assert all(one["share"] in (0, 1) for one in told["figures"])
    assert told["large"]["conditions"] == 210
    assert told["large"]["worths"] == 200
    assert told["large"]["knees"] == 20
