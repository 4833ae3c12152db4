"""The searcher between Ray Tune and the sampler, with results in whatever order they come."""

import random

import pytest

from engine.search.trial import Verdict
from engine.search.trials_on_ray import FactorSearcher, RungScheduler

STUDY = """
[search]
max_trials = 6
concurrent = 3
[factors]
steps = {low = 1, high = 90}
"""


class Barrier:
    """Notes who is expected."""

    def __init__(self):
        self.expected = []

    def call(self, method, numbers):
        assert method == "expect"
        self.expected.append(numbers)


@pytest.fixture
def searcher(study):
    def made():
        board = Barrier()
        return FactorSearcher(study(STUDY), board), board

    return made


def told(at, score, goes_on, may_ask=True):
    return Verdict(at, 10, score, [score], goes_on, not goes_on, may_ask)._asdict()


def suggest_all(own):
    found = []
    while isinstance(one := own.suggest(f"t{len(own._numbers)}"), dict):
        found.append(one)
    return found, one


def test_it_proposes_between_phases_alone_and_says_who_is_at_work(searcher):
    own, board = searcher()
    first, then = suggest_all(own)
    assert [one["number"] for one in first] == [0, 1, 2]
    assert then is None
    assert board.expected == [[0, 1, 2]]
    own.on_trial_result("t1", told(0, 0.6, True))
    own.on_trial_complete("t0", told(0, 0.5, False))
    assert own.suggest("early") is None
    own.on_trial_complete("t2", told(0, 0.4, False))
    second, _ = suggest_all(own)
    assert [one["number"] for one in second] == [3, 4]
    assert board.expected[-1] == [1, 3, 4]


def test_what_it_proposes_does_not_hang_on_who_was_first(searcher):
    proposed = []
    for seed in range(3):
        own, _ = searcher()
        suggest_all(own)
        order = [("t0", 0.5), ("t1", 0.7), ("t2", 0.6)]
        random.Random(seed).shuffle(order)
        for name, score in order:
            own.on_trial_complete(name, told(0, score, False))
        proposed.append(suggest_all(own)[0])
    assert proposed[0] == proposed[1] == proposed[2]
    assert [one["number"] for one in proposed[0]] == [3, 4, 5]


def test_a_trial_that_begins_anew_is_not_heard_for_what_it_said_before(searcher):
    own, board = searcher()
    suggest_all(own)
    for name in ("t0", "t1", "t2"):
        own.on_trial_result(name, told(0, 0.5, True))
    suggest_all(own)
    assert board.expected[-1] == [0, 1, 2]
    own.on_trial_result("t0", told(0, 0.5, True))  # its process was killed
    own.on_trial_complete("t1", told(1, 0.5, False))
    own.on_trial_complete("t2", told(1, 0.5, False))
    assert own.suggest("early") is None  # what it comes to in this phase is still to come
    own.on_trial_complete("t0", told(1, 0.9, False))
    second, _ = suggest_all(own)
    assert [one["number"] for one in second] == [3, 4, 5]


def test_it_ends_when_no_more_may_be_asked_and_none_is_at_work(searcher):
    own, _ = searcher()
    suggest_all(own)
    for name in ("t0", "t1", "t2"):
        own.on_trial_complete(name, told(0, 0.5, False, may_ask=False))
    assert own.suggest("more") == FactorSearcher.FINISHED


def test_a_trial_s_process_that_is_lost_for_good_is_an_error(searcher):
    own, _ = searcher()
    suggest_all(own)
    with pytest.raises(RuntimeError, match="gave it up"):
        own.on_trial_complete("t0", error=True)


def test_the_scheduler_ends_what_does_not_go_on():
    rungs = RungScheduler()
    assert rungs.on_trial_result(None, None, {"goes_on": True}) == RungScheduler.CONTINUE
    assert rungs.on_trial_result(None, None, {"goes_on": False}) == RungScheduler.STOP
