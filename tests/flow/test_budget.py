"""A pilot and a budget, while rows are made."""

import pytest
from root_snapshot import snapshot

from engine.make.fill import fill_views
from engine.make.make import prepare
from engine.make.work import Work
from engine.pipeline import make_pilot
from engine.plan.plan import make_plan
from engine.status.forecast import forecast
from engine.status.spent import HOUR_S, Spent, taken
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.load import load_study

SLOW = ("generate.engine=user_plugins:Slow", "factors.real=[0]")  # 9 tokens a row, none of prompts


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, *overrides):
    return make_plan(load_study(toy / "study.toml", [*SLOW, *overrides]))


def test_a_pilot_makes_the_first_rows_of_each_recipe_once_and_a_forecast_uses_them(toy, store):
    recipes = ["factors.strategy=['zero_shot', 'few_shot']", "curate.filters=['length']"]
    plan = planned(toy, *recipes, "factors.quantity=[400]")  # of which no row is refused
    prepare(plan, store)
    before = forecast(survey(plan, store))
    assert len(before.unknown) == 2
    assert before.more == Spent()
    assert make_pilot(plan, store) == 2 * 2 * 16
    assert make_pilot(plan, store) == 0
    after = forecast(survey(plan, store))
    assert after.unknown == []
    assert after.rows == before.rows - 64
    assert after.more.tokens == pytest.approx(9 * after.rows)
    assert after.hours == pytest.approx(after.more.engine_s / HOUR_S)


def test_a_budget_stops_generation_cleanly_and_a_larger_one_goes_on(toy, store):
    heard = []

    def fill(limit):
        plan = planned(toy, "factors.quantity=[200]", f"budget.max_tokens={limit}")
        prepare(plan, store)
        return plan, fill_views(Work(plan, store, heard.append), survey(plan, store)).troubles

    plan, troubles = fill(1000)
    assert "max_tokens 1,000" in troubles[0]
    assert 800 < taken(plan.pools, store, "toy").tokens <= 1000
    kept = snapshot(store.root, [plan.pools[0].folder])
    plan, troubles = fill(10_000)
    assert troubles == []
    assert {path: path.read_bytes() for path in kept} == kept
    assert taken(plan.pools, store, "toy").rows >= 200
    assert "projected" in next(one.spent for one in heard if one.spent)
