import pyarrow as pa
import pytest

from engine.generate.events import Made, SegmentRef
from engine.make.budget import FIRST, BudgetGuard
from engine.plan.plan import make_plan
from engine.status.spent import HOUR_S, Spent, taken
from engine.status.survey import survey
from engine.steps.pool import Want
from engine.store.schema import POOL
from engine.store.seal import seal_table
from engine.store.segments import Segment, grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Budget

SLOW = ("generate.engine=user_plugins:Slow", "factors.real=[0]")  # 9 tokens a row, none of prompts


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, *overrides):
    return make_plan(load_study(toy / "study.toml", [*SLOW, *overrides]))


def note(store, pool, segment, study, **counts):
    """Commit an empty segment that says what it took."""
    notes = {"rows": 16, "tokens": 0, "prompt_tokens": 0, "seconds": 0.0, "study": study, **counts}
    table = pa.Table.from_pylist([], schema=POOL)
    store.commit(f"{pool.folder}/{segment.name}", seal_table(table, notes))


def test_what_rows_took_is_read_from_their_segments_and_only_the_study_s_own_count(toy, store):
    pool = planned(toy).pools[0]
    mine, other = grid("good", 32)
    note(store, pool, mine, "toy", tokens=100, prompt_tokens=900, seconds=3.0, start_s=4.0)
    note(store, pool, other, "another", tokens=7)
    assert taken([pool], store, "toy") == Spent(16, 900, 100, 0, 7.0, 4.0)
    assert taken([pool], store).tokens == 107


def test_a_cost_is_the_sum_of_its_prices_and_unknown_without_any():
    took = Spent(rows=1, prompt_tokens=2e6, tokens=1e6, engine_s=HOUR_S / 2)
    assert took.cost(Budget()) is None
    assert took.cost(Budget(price_prompt=1, price_completion=3)) == pytest.approx(5)
    assert took.cost(Budget(price_prompt=1, price_completion=3, price_hour=4)) == pytest.approx(7)


def test_a_budget_bears_as_many_rows_as_those_before_let_expect(toy, store):
    plan = planned(toy, "budget.max_tokens=1000")
    pool = plan.pools[0]
    wants = [Want(pool, one) for one in grid("good", 128)]
    guard = BudgetGuard(survey(plan, store))
    assert sum(want.rows for want in guard.affordable(wants, 0)) == FIRST
    segment = Segment("bad", 0, 16)
    guard.count(Made("group", "replica", SegmentRef(pool.fingerprint, segment), tokens=160))
    # ten tokens a row: 84 more rows are borne, but at first so many are not made at a time
    assert sum(want.rows for want in guard.affordable(wants, 0)) == FIRST
    assert sum(want.rows for want in guard.affordable(wants, 40)) == 16
    guard.count(
        Made("group", "replica", SegmentRef(pool.fingerprint, Segment("bad", 16, 48)), tokens=320)
    )
    assert sum(want.rows for want in guard.affordable(wants, 0)) == 48  # of 52, in whole segments
    guard.count(Made("group", "replica", SegmentRef(pool.fingerprint, segment), tokens=520))
    assert guard.affordable(wants, 0) == []


def test_rows_that_were_there_already_are_not_paid_again(toy, store):
    plan = planned(toy, "budget.max_tokens=1000")
    guard = BudgetGuard(survey(plan, store))
    part = SegmentRef(plan.pools[0].fingerprint, Segment("bad", 0, 16))
    guard.count(Made("group", "replica", part, was_there=True))
    assert guard.spent == Spent()


def test_without_a_budget_all_is_borne(toy, store):
    plan = planned(toy)
    wants = [Want(plan.pools[0], one) for one in grid("good", 5000)]
    assert BudgetGuard(survey(plan, store)).affordable(wants, 10**9) == wants


def test_a_start_counts_in_hours_but_is_not_expected_of_every_row(toy, store):
    plan = planned(toy, "budget.max_hours=1.0")
    guard = BudgetGuard(survey(plan, store))
    part = SegmentRef(plan.pools[0].fingerprint, Segment("bad", 0, 16))
    guard.count(Made("group", "replica", part, seconds=160.0, start_s=1790.0))
    # 1,950 s are taken, but a row takes 10 s: more than 16 are left of the hour
    wants = [Want(plan.pools[0], one) for one in grid("good", 512)]
    assert sum(want.rows for want in guard.affordable(wants, 0)) == FIRST
    guard.count(Made("group", "replica", part, seconds=1400.0))
    assert sum(want.rows for want in guard.affordable(wants, 0)) == 0
