from functools import partial

import pytest

from engine.plan.plan import make_plan
from engine.status.quotas import PILOT, Rule, Slot, standing_of
from engine.steps.view import Tally
from engine.study.load import load_study
from engine.study.resources import Quota

CONFIG = Quota(attempts=4, max_refused=0.9, judged_after=64)


@pytest.fixture
def look(toy):
    """Judge a label of a view that no file of records limits."""
    plan = make_plan(load_study(toy / "study.toml", ["generate.engine=verbatim"]))

    def judge(quota, rows, accepted, *, awaits=False):
        tally = Tally(rows, {"good": accepted}, {"duplicate": rows - accepted})
        slot = Slot(plan.views[0], "good", {"good": quota}, tally)
        return standing_of(slot, Rule(CONFIG, awaits=awaits))

    return judge


@pytest.fixture
def awaiting(look):
    """The same, while rows are being made."""
    return partial(look, awaits=True)


def test_at_first_as_many_rows_are_asked_for_as_are_wanted(look):
    assert look(100, 0, 0)[::3] == ("wanting", 100)


def test_a_first_look_at_a_recipe_is_small(look):
    assert look(100_000, 0, 0).upto == PILOT
    assert look(100_000, PILOT, PILOT).upto == 100_000


def test_refused_rows_are_made_up_for_at_their_observed_share(look):
    # half are accepted: the 60 that are missing take 120 more
    assert look(100, 80, 40)[::3] == ("wanting", 200)


def test_a_quota_that_is_met_asks_for_nothing(look):
    assert look(100, 128, 100)[::3] == ("enough", 128)


def test_no_more_than_the_attempts_are_made(look):
    assert look(100, 300, 60).upto == 400
    assert look(100, 400, 99).state == "short"


def test_a_recipe_that_refuses_nearly_all_is_given_up_early_but_not_at_once(look):
    assert look(1000, 63, 0).state == "wanting"
    assert look(1000, 64, 6).state == "hopeless"
    assert look(1000, 64, 7).state == "wanting"


def test_who_bears_any_share_of_refused_rows_has_all_attempts_made(toy):
    plan = make_plan(load_study(toy / "study.toml", ["generate.engine=verbatim"]))
    patient = Quota(attempts=4, max_refused=1.0, judged_after=64)
    tally = Tally(600, {}, {"duplicate": 600})
    slot = Slot(plan.views[0], "good", {"good": 200}, tally)
    assert standing_of(slot, Rule(patient)).state == "wanting"


def test_records_that_run_out_are_short_without_further_attempts(toy):
    plan = make_plan(load_study(toy / "study.toml"))
    tally = Tally(200, {"good": 190}, {"duplicate": 10})
    slot = Slot(plan.views[0], "good", {"good": 200}, tally)
    assert standing_of(slot, Rule(CONFIG)).state == "short"


def test_while_rows_are_awaited_only_what_is_needed_for_certain_is_asked_for(awaiting):
    assert awaiting(100, 80, 40)[::3] == ("wanting", 140)  # the 60 that are missing, at least
    # of many rows the share is known well: 0.5, and hardly more than 0.54
    assert 900 + 200 < awaiting(600, 600, 300).upto < 900 + 300


def test_nothing_is_given_up_while_rows_are_awaited(look, awaiting):
    for hopeless_or_short in ((1000, 64, 0), (100, 400, 99)):
        assert look(*hopeless_or_short).state != "wanting"
        assert awaiting(*hopeless_or_short)[::3] == ("wanting", hopeless_or_short[1])
