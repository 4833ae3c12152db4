"""How fast rows are made from templates, committed, parsed and filtered into a view."""

import json as jsonlib
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.make.fill import fill_views
from engine.make.make import prepare
from engine.make.work import Work
from engine.nodes.session import ray_session
from engine.plan.plan import Plan, make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.load import load_study
from jobs.bench.machine import machine, peak_mib

TASK = """
name = "bench"
[labels]
bad = "the visitor disliked it"
good = "the visitor liked it"
[fields]
text = "Review"
[wording]
request = "Write a {label} review."
row = "Review: {text}\\nLabel: {label}"
[splits]
train = "gold.jsonl"
validation = "gold.jsonl"
test = "gold.jsonl"
"""
STUDY = """
name = "bench"
task = "task.toml"
repeats = 1
[generate]
engine = "verbatim"
strategy = "template"
[generate.templates]
bad = ["On visit {index} the {dish} was {flaw}, and we left before the {course}."]
good = ["On visit {index} the {dish} was {merit}, and we stayed for another {course}."]
[generate.attributes]
dish = ["soup", "bread", "fish stew", "roast lamb", "lemon cake", "noodles", "salad", "pie"]
course = ["coffee", "dessert", "second helping", "glass of wine", "starter"]
flaw = ["cold", "far too salty", "burnt at the edges", "late", "bland", "greasy"]
merit = ["superb", "warm and filling", "full of flavour", "worth the wait", "light", "fresh"]
[mix]
quantity = 1000
"""


def bench_curate(rows: int, json: bool) -> str:
    """Make and judge ``rows`` template rows; return rows per second and the driver's memory.

    The clock runs from an empty root, with Ray up, until every row stands in the view.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = _plan(Path(folder), rows)
        store = Store.open(f"{folder}/root")
        prepare(plan, store)
        started = time.monotonic()
        with ray_session():
            ray_s, started = time.monotonic() - started, time.monotonic()
            fill_views(Work(plan, store, lambda _: None), survey(plan, store))
            seconds = time.monotonic() - started
        looks = survey(plan, store).standings[plan.views[0].fingerprint].values()
    judged = sum(look.tally.rows for look in looks)
    figures = {
        "rows": judged,
        "accepted": sum(look.tally.accepted for look in looks),
        "seconds": round(seconds, 2),
        "rows_per_s": round(judged / seconds),
        "ray_start_s": round(ray_s, 2),
        "driver_peak_mib": round(peak_mib()),
        "machine": machine(),
    }
    return jsonlib.dumps(figures, indent=1) if json else _lines(figures)


def _plan(folder: Path, rows: int) -> Plan:
    gold = [{"label": label, "text": f"a {label} place"} for label in ("bad", "good")]
    (folder / "gold.jsonl").write_text("\n".join(map(jsonlib.dumps, gold)), encoding="utf-8")
    (folder / "task.toml").write_text(TASK, encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return make_plan(load_study(folder / "study.toml", [f"mix.quantity={rows}"]))


def _lines(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name:<16} {value}" for name, value in figures.items())
