"""The study files of Li et al. 2024, reduced: a stand-in for the LLM, a tiny classifier."""

import json
import tomllib
from pathlib import Path

from toy_study import write_jsonl

from engine.plan.plan import make_plan
from engine.study.load import load_study
from engine.tasks.task import load_task

PAPER = Path(__file__).parents[2] / "jobs" / "studies" / "paper"
FILES = sorted(PAPER.glob("*.toml"))
TASKS = ["sst2", "emotion", "nyt_topics", "amazon_reviews", "rte", "boolq"]
METHODS = ["zero_shot", "topic", "one_shot", "few_shot_3", "few_shot_5"]
ROWS = {"train": 40, "validation": 10, "test": 10}
FEW = {0: 0, 100: 10, 200: 16, 400: 24, 600: 32, 1000: 40}  # in place of the paper's amounts


def with_rows(place, counts):
    for name in TASKS:
        task = load_task(name, place)
        labels = list(task.labels)
        for split, count in counts.items():
            rows = [
                {
                    **{field: f"{field} {number} of {split}, {name}" for field in task.fields},
                    "label": labels[number % len(labels)],
                }
                for number in range(count)
            ]
            write_jsonl(place / f"{name}-{split}.jsonl", rows)
    return place


def places(folder, tasks):
    """Return what ``splits`` is set to: a table of tables, in TOML."""
    by_task = []
    for name in tasks:
        files = [f'{split} = "{folder / f"{name}-{split}.jsonl"}"' for split in ROWS]
        by_task.append(f"{name} = {{{', '.join(files)}}}")
    return f"{{{', '.join(by_task)}}}"


def fewer(listed, amounts):
    listed = listed if isinstance(listed, list) else [listed]
    return [amounts[one] for one in listed] if amounts else listed


def exclusions(document, amounts):
    """Return what a file leaves out, with the amounts of the reduced form, in TOML."""
    tables = []
    for one in document["exclude"]:
        own = {
            name: fewer(to, amounts) if name in ("quantity", "real") else to
            for name, to in one.items()
        }
        tables.append(
            "{" + ", ".join(f"{name} = {json.dumps(to)}" for name, to in own.items()) + "}"
        )
    return f"[{', '.join(tables)}]"


def reduced(path, folder, model, amounts=FEW):
    """Plan a study file with little of everything, or with the amounts that it has."""
    document = tomllib.loads(path.read_text())
    tasks = document["task"] if isinstance(document["task"], list) else [document["task"]]
    factors = document["factors"]
    overrides = [
        f"splits={places(folder, tasks)}",
        "generate.engine=standin_llm:StandIn",
        "generate.topics={write=20}",
        f"factors.quantity={fewer(factors['quantity'], amounts)}",
        f"factors.real={fewer(factors['real'], amounts)}",
        *([f"exclude={exclusions(document, amounts)}"] if "exclude" in document else []),
        f"train.model={json.dumps(str(model))}",
        "train.precision=float32",
        "replicates=1",
        "repeats=1",
        "resources.fleet=1",
        "resources.run_on=here",
    ]
    if "budget" in factors:
        few_steps = '{name = "steps", steps = 2}, {name = "epochs", epochs = 0.1}'
        overrides.append(f"factors.budget=[{few_steps}]")
    else:
        overrides.append("train.steps=2")
    if "baseline" in document:
        overrides.append("baseline.shots=[0, 3]")
    if "diagnose" in document:
        overrides += [f"diagnose.model={json.dumps(str(model))}", "diagnose.real=10"]
    return make_plan(load_study(path, overrides))
