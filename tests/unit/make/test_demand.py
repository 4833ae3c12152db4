"""What is asked for as rows come in and are judged: without engines and without Ray."""

from pathlib import Path

import pyarrow as pa
import pytest

from engine.curate.judging import curate_slot
from engine.generate.events import SegmentRef
from engine.make.demand import AT_LEAST, Demand
from engine.make.make import prepare
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.schema import POOL
from engine.store.seal import seal_table
from engine.store.segments import grid
from engine.store.store import Store
from engine.study.load import load_study

REFUSED = "I'm sorry, but I can't help with that."


class Filled:
    """A study that is filled by hand: rows are written, and judged as the pipeline judges them."""

    def __init__(self, toy, *overrides):
        asked = ["factors.real=[0]", *overrides]
        self.plan = make_plan(load_study(toy / "study.toml", asked))
        self.store = Store.open(str(toy / "root"))
        prepare(self.plan, self.store)
        self.pool = self.plan.pools[0]
        self.demand = Demand(survey(self.plan, self.store), self.store)

    def make(self, wants, is_refused=lambda index: False):
        for want in wants:
            table = pa.Table.from_pylist(
                [self.row(want.segment.slot, index, is_refused) for index in indices(want)],
                schema=POOL,
            )
            notes = {"rows": want.rows, "tokens": 0, "seconds": 0.0}
            self.store.commit(f"{want.pool.folder}/{want.segment.name}", seal_table(table, notes))
            self.demand.arrived(SegmentRef(want.pool.fingerprint, want.segment))

    def row(self, slot, index, is_refused):
        text = REFUSED if is_refused(index) else f"a sentence of its own about visit {index}"
        return {
            **dict.fromkeys(POOL.names),
            "id": str(self.pool.row(slot, index)),
            "slot": slot,
            "index": index,
            "prompt": "",
            "completion": text,
            "attributes": "{}",
        }

    def judge(self, asked=None):
        found = self.demand.to_judge() if asked is None else asked
        for view, slot in found:
            self.demand.judged(curate_slot(self.store, view, slot))
        return found


@pytest.fixture
def filled(toy):
    """Plan the toy study for so many rows of each of its two labels, with no limit to them."""

    def plan(quota, *overrides):
        return Filled(
            toy, "generate.engine=verbatim", f"factors.quantity=[{2 * quota}]", *overrides
        )

    return plan


def indices(want):
    return range(want.segment.start, want.segment.stop)


def spans(wants, slot="good"):
    return [(want.segment.start, want.segment.stop) for want in wants if want.segment.slot == slot]


def of_slot(wants, slot):
    return [want for want in wants if want.segment.slot == slot]


def test_each_segment_is_wanted_once_and_the_first_of_all_labels_first(filled):
    study = filled(100)
    wants = study.demand.wants()
    assert {want.segment for want in wants} == {*grid("good", 100), *grid("bad", 100)}
    assert len(wants) == len({want.segment for want in wants})
    assert [want.segment.start for want in wants] == sorted(want.segment.start for want in wants)
    assert study.demand.wants() == []
    assert study.demand.awaited_rows == sum(want.rows for want in wants)


def test_two_views_of_a_pool_want_its_segments_once(filled):
    study = filled(60, "factors.curate.filters=[['refusal'], ['length']]")
    assert len(study.plan.views) == 2
    wants = study.demand.wants()
    assert [want.segment for want in of_slot(wants, "good")] == grid("good", 60)


def test_a_quota_that_is_met_settles_its_study(filled):
    study = filled(40)
    study.make(study.demand.wants())
    assert not study.demand.is_settled
    assert study.judge()
    assert study.demand.is_settled
    assert study.demand.wants() == []
    assert study.demand.open_pools == []


def test_refused_rows_are_made_up_for(filled):
    study = filled(96)
    study.make(study.demand.wants(), is_refused=lambda index: index % 4 == 0)
    study.judge()
    assert not study.demand.is_settled
    # of 96 rows 72 are accepted: the 24 that are missing take 32
    assert spans(study.demand.wants()) == [(96, 112), (112, 128)]


def test_a_label_is_judged_once_until_that_is_done(filled):
    study = filled(40)
    study.make(study.demand.wants())
    asked = study.demand.to_judge()
    assert {slot for _, slot in asked} == {"good", "bad"}
    assert study.demand.to_judge() == []
    assert not study.demand.is_settled
    study.judge(asked)
    assert study.demand.to_judge() == []


def test_rows_are_judged_in_larger_parts_while_more_are_made(filled):
    study = filled(200)
    wants = of_slot(study.demand.wants(), "good")
    upto = next(at for at, want in enumerate(wants) if want.segment.stop >= AT_LEAST)
    study.make(wants[:upto])
    assert study.demand.to_judge() == []
    study.make([wants[upto]])
    assert [slot for _, slot in study.demand.to_judge()] == ["good"]


def test_rows_beyond_a_gap_wait_for_it(filled):
    study = filled(100)
    first, *others = of_slot(study.demand.wants(), "good")
    study.make(others)
    assert study.demand.to_judge() == []
    study.make([first])
    assert [slot for _, slot in study.demand.to_judge()] == ["good"]


def test_nothing_is_given_up_while_rows_are_awaited(filled):
    study = filled(400)
    wanted = study.demand.wants()
    study.make(of_slot(wanted, "bad"))
    wants = of_slot(wanted, "good")
    study.make(wants[:5], is_refused=lambda index: True)
    assert study.judge()
    assert study.demand.wants() == []
    assert study.demand.open_pools == [study.pool]
    assert not study.demand.is_settled
    study.make(wants[5:])
    study.judge()
    # of 448 rows 368 are accepted after all
    assert spans(study.demand.wants()) == [(448, 512)]


def test_while_rows_are_awaited_no_more_are_wanted_than_will_be_needed_for_certain(filled):
    study = filled(400)
    wants = of_slot(study.demand.wants(), "good")
    study.make(wants[:10], is_refused=lambda index: index % 2)
    study.judge()
    # 160 rows lack 80 to be made up for, if no other is refused; at their share 160 more
    assert spans(study.demand.wants()) == [(448, 512)]


def test_a_recipe_of_which_all_is_refused_is_given_up_once_nothing_is_awaited(filled):
    study = filled(1000)
    study.make(study.demand.wants(), is_refused=lambda index: True)
    study.judge()
    assert study.demand.wants() == []
    assert study.demand.is_settled


def test_no_more_is_wanted_of_an_engine_that_was_given_up(filled):
    study = filled(200)
    study.make(study.demand.wants()[:8])
    study.demand.stop([study.pool.fingerprint])
    assert study.demand.awaited_rows == 0
    assert study.demand.wants() == []
    assert not study.demand.is_settled  # what there is is judged first
    study.judge()
    assert study.demand.is_settled


def test_a_segment_made_again_under_judged_rows_is_judged_again(filled):
    study = filled(60)
    wants = study.demand.wants()
    study.make(wants)
    study.judge()
    assert study.demand.is_settled
    again = of_slot(wants, "good")[1]
    (Path(study.store.root) / study.pool.folder / again.segment.name).unlink()
    study.make([again], is_refused=lambda index: index == again.segment.start)
    assert not study.demand.is_settled
    assert [slot for _, slot in study.judge()] == ["good"]
    assert study.demand.is_settled
    refused = study.store.table(f"{study.plan.views[0].folder}/{again.segment.name}").table
    assert refused["status"].to_pylist().count("refused") == 1


def test_a_segment_found_damaged_is_wanted_again(filled):
    study = filled(60)
    study.make(study.demand.wants())
    segment = grid("good", 60)[1]
    path = Path(study.store.root) / study.pool.folder / segment.name
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    path.write_bytes(data)
    study.judge()
    wants = study.demand.wants()
    assert [want.segment for want in wants] == [segment]
    study.make(wants)
    study.judge()
    assert study.demand.is_settled


def test_what_is_not_made_after_all_is_wanted_again(filled):
    study = filled(60)
    wants = study.demand.wants()
    study.demand.withdrawn(wants[:3])
    assert study.demand.wants() == wants[:3]


def test_a_demand_begun_anew_knows_what_is_there(filled):
    study = filled(100)
    wants = study.demand.wants()
    study.make(wants[:9])
    study.judge()
    anew = Demand(survey(study.plan, study.store), study.store)
    assert anew.wants() == wants[9:]
    assert anew.unjudged_rows == study.demand.unjudged_rows


def test_records_that_run_out_leave_a_label_short(toy):
    study = Filled(toy, "factors.quantity=[300]", "quota.attempts=10")
    limit = study.pool.limits["good"]
    for _ in range(10):
        study.make(study.demand.wants(), is_refused=lambda index: index % 2 == 0)
        study.judge()
    assert study.demand.is_settled
    assert study.pool.segments(study.store)["good"] == grid("good", limit)
