from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.search.trial_book import Measured, TrialBook, Unmeasured
from engine.study.search_config import SearchConfig

RUNGS = [10, 30, 90]


def course(rungs=RUNGS, **search):
    return TrialBook(SearchConfig(**search), rungs)


def points(*numbers):
    return {number: {"train.steps": number} for number in numbers}


def scored(rows, scores, **fields):
    """What trials came to at a rung, by number."""
    given = {"test": (), "runs": 1, "tokens": 0.0, "engine_s": 0.0, "train_s": 0.0, **fields}
    return {number: Measured(rows, score, **given) for number, score in scores.items()}


def phase(course, scores, *, is_over=False):
    """Drive a phase: each trial comes to its score at whatever rung it is measured at."""
    asked = course.begin(points(*scores))
    came_to = {
        trial.number: scored(rows, {trial.number: scores[trial.number]})[trial.number]
        for trial, rows in asked
    }
    return course.end(came_to, is_over=is_over)


def standings(course):
    return {number: trial.standing for number, trial in course.trials.items()}


def test_a_trial_is_measured_at_one_rung_after_another_until_it_is_whole():
    one = course(stopping="none")
    told = []
    for rows in RUNGS:
        ((trial, asked),) = one.begin(points(4))
        assert (trial.number, trial.point, asked) == (4, {"train.steps": 4}, rows)
        assert not one.is_settled
        told.append(one.end(scored(rows, {4: rows / 100}), is_over=False)[4])
    assert [(t.at, t.rows, t.score, t.goes_on, t.is_whole) for t in told] == [
        (0, 10, 0.1, True, False),
        (1, 30, 0.3, True, False),
        (2, 90, 0.9, False, True),
    ]
    assert [measured.rows for measured in one.trials[4].rungs] == RUNGS
    assert one.trials[4].last.score == 0.9
    assert (standings(one), one.is_settled, one.phases) == ({4: "whole"}, True, 3)


def test_with_one_rung_a_trial_is_whole_at_once():
    one = course(rungs=[50])
    told = phase(one, {0: 0.5, 1: 0.1})
    assert standings(one) == {0: "whole", 1: "whole"}
    assert {t.is_whole for t in told.values()} == {True}


def test_trials_are_measured_in_the_order_of_their_numbers_at_rungs_of_their_own():
    one = course(stopping="none")
    phase(one, {3: 0.1})
    asked = one.begin(points(5, 3, 0))
    assert [(trial.number, rows) for trial, rows in asked] == [(0, 10), (3, 30), (5, 10)]


def test_the_best_of_a_phase_go_on_and_the_others_are_stopped():
    one = course(reduction_factor=3)
    told = phase(one, {number: score / 10 for number, score in enumerate([3, 8, 1, 2, 7, 4, 5, 6])})
    assert {number for number, t in told.items() if t.goes_on} == {1, 4, 7}
    assert Counter(standings(one).values()) == {"at work": 3, "stopped": 5}
    assert not one.is_settled


def test_a_newcomer_is_held_against_all_that_were_measured_at_its_rung_so_far():
    one = course(reduction_factor=3)
    phase(one, {0: 0.5, 1: 0.6, 2: 0.9})
    assert standings(one) == {0: "stopped", 1: "stopped", 2: "at work"}
    told = phase(one, {2: 0.95, 3: 0.55, 4: 0.7})  # of five at the first rung two: 2 and 4
    assert {number: t.goes_on for number, t in told.items()} == {2: True, 3: False, 4: True}
    told = phase(one, {2: 0.1, 4: 0.9, 5: 0.65})  # at the first, 2 and 4 again; at the second, 2
    assert {number: t.goes_on for number, t in told.items()} == {2: False, 4: False, 5: False}
    assert {2: "whole", 4: "stopped", 5: "stopped"}.items() <= standings(one).items()
    told = phase(one, {6: 0.67})  # of seven three: 2, 4 and 6
    assert told[6].goes_on


def test_a_trial_that_was_stopped_is_not_woken_when_more_may_go_on():
    one = course(reduction_factor=2, rungs=[10, 30])
    phase(one, {0: 0.9, 1: 0.8})
    assert standings(one) == {0: "at work", 1: "stopped"}
    told = phase(one, {0: 0.9, 2: 0.1, 3: 0.2})  # of four the best two would be 0 and 1
    assert standings(one) == {0: "whole", 1: "stopped", 2: "stopped", 3: "stopped"}
    assert set(told) == {0, 2, 3}
    assert len(one.trials[1].rungs) == 1


def test_the_rule_is_the_one_that_the_study_names():
    scores = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.5, 5: 0.6}
    on = {}
    for stopping in ("asha", "median", "none"):
        told = phase(course(stopping=stopping, reduction_factor=6), scores)
        on[stopping] = {number for number, t in told.items() if t.goes_on}
    assert on == {"asha": {5}, "median": {3, 4, 5}, "none": set(scores)}


def test_a_trial_that_is_short_of_rows_ends_with_what_it_came_to():
    one = course(stopping="none")
    one.begin(points(0, 1))
    came_to = scored(10, {0: 0.4}) | scored(10, {1: 0.8}, is_short=True)
    told = one.end(came_to, is_over=False)
    assert standings(one) == {0: "at work", 1: "short"}
    assert (told[1].score, told[1].goes_on, told[1].is_whole) == (0.8, False, False)


def test_what_a_short_trial_came_to_counts_at_its_rung():
    one = course(reduction_factor=2)
    one.begin(points(0, 1))
    told = one.end(scored(10, {0: 0.4}) | scored(10, {1: 0.8}, is_short=True), is_over=False)
    assert standings(one) == {0: "stopped", 1: "short"}
    assert not any(t.goes_on for t in told.values())


def test_a_trial_that_is_short_at_the_last_rung_is_not_whole():
    one = course(rungs=[10])
    one.begin(points(0))
    told = one.end(scored(10, {0: 0.5}, is_short=True), is_over=False)
    assert (standings(one), told[0].is_whole) == ({0: "short"}, False)


def test_a_trial_that_fails_ends_and_the_others_are_judged_without_it():
    one = course(reduction_factor=2)
    one.begin(points(0, 1, 2))
    told = one.end(scored(10, {0: 0.1, 2: 0.2}) | {1: Unmeasured(10, "no rows")}, is_over=False)
    assert standings(one) == {0: "stopped", 1: "failed", 2: "at work"}
    assert one.trials[1].why == "no rows"
    assert told[1]._asdict() == {
        "at": 0, "rows": 10, "score": None, "values": None,
        "goes_on": False, "is_whole": False, "may_ask": True,
    }  # fmt: skip


def test_a_trial_that_fails_on_the_way_keeps_what_it_had_come_to_and_is_told_of_nothing():
    one = course(stopping="none")
    phase(one, {0: 0.7})
    one.begin(points(0))
    told = one.end({0: Unmeasured(30, "no memory")}, is_over=False)[0]
    assert (told.at, told.rows, told.score, told.values) == (1, 30, None, None)
    assert standings(one) == {0: "failed"}
    assert (one.trials[0].last.rows, one.trials[0].last.score) == (10, 0.7)


def test_a_trial_that_a_limit_kept_from_being_measured_is_cut_off_and_did_not_fail():
    one = course()
    one.begin(points(0, 1))
    came_to = scored(10, {0: 0.3}) | {1: Unmeasured(10, "no tokens are left", is_cut_off=True)}
    one.end(came_to, is_over=False)
    assert standings(one) == {0: "at work", 1: "cut off"}
    assert one.trials[1].why == "no tokens are left"


def test_when_the_search_is_over_nothing_goes_on_and_what_had_ended_stays_what_it_was():
    one = course(rungs=[10, 30], stopping="none")
    phase(one, {0: 0.5})
    one.begin(points(0, 1, 2, 3))
    came_to = scored(30, {0: 0.6}) | scored(10, {1: 0.9}) | {2: Unmeasured(10, "no rows")}
    came_to |= scored(10, {3: 0.4}, is_short=True)
    told = one.end(came_to, is_over=True)
    assert standings(one) == {0: "whole", 1: "cut off", 2: "failed", 3: "short"}
    assert {t.may_ask for t in told.values()} == {False}
    assert not any(t.goes_on for t in told.values())
    assert told[1].score == 0.9
    assert one.is_settled


def test_further_trials_may_be_proposed_until_the_search_is_over():
    one = course()
    assert {t.may_ask for t in phase(one, {0: 0.5, 1: 0.6}).values()} == {True}
    assert {t.may_ask for t in phase(one, {1: 0.5, 2: 0.1}, is_over=True).values()} == {False}


@pytest.mark.parametrize(
    ("objectives", "values"),
    [
        (["score"], [0.5]),
        (["score", "seconds", "tokens"], [0.5, 40.0 + 1.0 + 3.0, 900.0]),
        (["score", "tokens"], [0.5, 900.0]),
    ],
)
def test_tokens_and_engines_are_those_of_the_last_rung_and_trainings_those_of_all(
    objectives, values
):
    config = SearchConfig(objectives=objectives, stopping="none")
    one = TrialBook(config, RUNGS)
    rungs = [
        scored(10, {0: 0.7}, tokens=100.0, engine_s=4.0, train_s=1.0),
        scored(30, {0: 0.5}, tokens=900.0, engine_s=40.0, train_s=3.0),
    ]
    for came_to in rungs:
        one.begin(points(0))
        told = one.end(came_to, is_over=False)[0]
    assert told.values == values
    assert one.trials[0].values(config) == values


def test_a_trial_that_came_to_nothing_has_no_values():
    one = course()
    one.begin(points(0))
    assert one.trials[0].last is None
    assert one.trials[0].values(SearchConfig()) is None


def test_a_course_without_trials_is_settled_and_one_with_a_trial_at_work_is_not():
    one = course()
    assert one.is_settled
    one.begin(points(0))
    assert not one.is_settled
    one.end({0: Unmeasured(10, "no rows")}, is_over=False)
    assert one.is_settled


outcomes = st.one_of(
    st.sampled_from([0.2, 0.4, 0.6]),
    st.floats(0, 1),
    st.sampled_from(["short", "failed", "cut off"]),
)
stories = st.lists(st.dictionaries(st.integers(0, 9), outcomes, min_size=1), min_size=1, max_size=6)


def outcome(rows, said):
    if said in ("failed", "cut off"):
        return Unmeasured(rows, said, is_cut_off=said == "cut off")
    score = said if isinstance(said, float) else 0.5
    return scored(rows, {0: score}, is_short=said == "short")[0]


def run_through(story, config, arranged=list):
    """Run through phases: who is at work and what they come to, in an order that is arranged."""
    one, told = TrialBook(config, RUNGS), []
    at_work = set()
    for said in story:
        newcomers = {number for number in said if number not in one.trials}
        asked = one.begin(points(*arranged(sorted(at_work | newcomers))))
        came_to = {
            trial.number: outcome(rows, said.get(trial.number, 0.5)) for trial, rows in asked
        }
        ordered = {number: came_to[number] for number in arranged(sorted(came_to))}
        told.append(one.end(ordered, is_over=False))
        at_work = {number for number, t in told[-1].items() if t.goes_on}
    return one, told


configs = st.builds(
    SearchConfig,
    stopping=st.sampled_from(["asha", "median", "none"]),
    reduction_factor=st.sampled_from([1.5, 2.0, 3.0]),
)


@given(story=stories, config=configs, random=st.randoms(use_true_random=False))
def test_in_which_order_measurements_come_changes_nothing(story, config, random):
    def arranged(numbers):
        random.shuffle(numbers)
        return numbers

    plain, told = run_through(story, config)
    shuffled, told_shuffled = run_through(story, config, arranged)
    assert told_shuffled == told
    assert shuffled.trials == plain.trials


@given(story=stories, config=configs)
def test_whoever_goes_on_is_at_work_and_whoever_is_whole_was_measured_at_every_rung(story, config):
    one, told = run_through(story, config)
    for number, trial in one.trials.items():
        last = next(phase[number] for phase in reversed(told) if number in phase)
        assert last.goes_on == (trial.standing == "at work")
        assert last.is_whole == (trial.standing == "whole")
        assert [measured.rows for measured in trial.rungs] == RUNGS[: len(trial.rungs)]
        if last.is_whole:
            assert len(trial.rungs) == len(RUNGS)
    assert one.is_settled == ("at work" not in standings(one).values())
    assert one.phases == len(story)
