"""A study that is filled by hand: prompts are worded, answered and judged, without Ray."""

import json
from types import SimpleNamespace

import pyarrow as pa

from engine.curate.judging import curate_slot
from engine.generate.engine import Prompt, engine_class
from engine.generate.events import SegmentRef
from engine.make.demand import Demand
from engine.make.make import prepare
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.schema import POOL
from engine.store.seal import seal_table
from engine.store.store import Store
from engine.study.load import load_study


class OfflineFill:
    """Fills a study; ``asked`` keeps every prompt by pool and row."""

    def __init__(self, path, overrides=(), root="root", most=None):
        self.plan = make_plan(load_study(path, overrides))
        self.store = Store.open(str(path.parent / root))
        prepare(self.plan, self.store)
        self.demand = Demand(survey(self.plan, self.store), self.store, most)
        first = self.demand.wants()
        # the engines of these pools are started, and of no others
        pools = self.plan.with_sources(self.demand.open_pools)
        self.started = {pool.fingerprint for pool in pools}
        self.demand.withdrawn(first)
        self.asked = {}

    def fill(self, rounds=100):
        for _ in range(rounds):
            for want in self.demand.wants():
                self.make(want)
            for view, slot in self.demand.to_judge():
                self.demand.judged(curate_slot(self.store, view, slot))
            if self.demand.is_settled:
                return self
        raise AssertionError("it does not come to an end")

    def make(self, want):
        pool, slot = want.pool, want.segment.slot
        assert pool.fingerprint in self.started, f"no engine was started for {pool.label}"
        strategy, engine = pool.strategy(self.store), self.engine_of(pool)
        prompts, drawn = [], []
        for index in range(want.segment.start, want.segment.stop):
            row = pool.row(slot, index)
            one = strategy.ask(row)
            self.asked[pool.label, slot, index] = one
            prompts.append(Prompt(row, one.text, pool))
            drawn.append(json.dumps(dict(one.attributes)))
        answers = {one.row: one for one in engine.complete(prompts)}
        rows = [
            {
                **dict.fromkeys(POOL.names),
                "id": str(prompt.row),
                "slot": slot,
                "index": prompt.row.index,
                "prompt": prompt.text,
                "completion": answers[prompt.row].text,
                "attributes": attributes,
            }
            for prompt, attributes in zip(prompts, drawn, strict=True)
        ]
        table = pa.Table.from_pylist(rows, schema=POOL)
        notes = {"rows": len(rows), "tokens": 9 * len(rows), "seconds": 1.0, "study": "x"}
        self.store.commit(f"{pool.folder}/{want.segment.name}", seal_table(table, notes))
        self.demand.arrived(SegmentRef(pool.fingerprint, want.segment))

    def engine_of(self, pool):
        return engine_class(pool.config.engine)(SimpleNamespace(store=self.store))

    def pool(self, label):
        (found,) = [pool for pool in self.plan.pools if pool.label == label]
        return found

    def rows(self, label, status="accepted"):
        """Return the rows of the view of the pool with that label, by slot and index."""
        (view,) = [view for view in self.plan.views if view.pool.label == label]
        return [
            row
            for slot, segments in view.segments(self.store).items()
            for segment in segments
            for row in self.store.table(f"{view.folder}/{segment.name}").table.to_pylist()
            if row["status"] == status
        ]
