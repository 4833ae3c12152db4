"""The fingerprints of four studies that come with textmill, filled from small made-up files.

They are the same on every machine: precision is fixed, models are files of a few known bytes or
come with textmill, and rows are answered by a stand-in and judged in this process.
"""

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from cheap_plans import write_model
from offline_fill import OfflineFill
from standin_llm import StandIn
from toy_study import write_jsonl

from engine.generate.engine import engine_class
from engine.plan.names import pool_name, run_key, view_name
from engine.status.survey import survey
from engine.tasks.task import load_task

STUDIES = Path(__file__).parents[2] / "jobs" / "studies"
GOLDEN = Path(__file__).parent / "fingerprints.json"
ROWS = {"train": 60, "validation": 12, "test": 12}
SIZES = ["factors.real=[0, 10]", "replicates=2", "repeats=2", "train.precision=float32"]


class Golden(OfflineFill):
    """A study whose prompts are answered by a stand-in, whatever engine it names."""

    def engine_of(self, pool):
        kind = engine_class(pool.config.engine)
        return (StandIn if kind.asks else kind)(SimpleNamespace(store=self.store))


def fingerprints(folder):
    """Return the full fingerprints of every step of the studies: by study, kind and name."""
    with patch.dict(os.environ, {"TEXTMILL_DATA": str(folder / "data")}):
        return {name: _steps(made(folder)) for name, made in PLANNED.items()}


def _steps(filled):
    plan, now = filled.plan, survey(filled.plan, filled.store)
    assert len(now.ready) == len(plan.cells), "every cell must come to its runs"
    baselines = {one.fingerprint for one in plan.baselines}
    found = {
        "pools": {pool_name(plan, pool): pool.fingerprint for pool in plan.pools},
        "views": {view_name(plan, view): view.fingerprint for view in plan.views},
        "runs": {
            run_key(one.cell, run.repeat): run.fingerprint for one in now.ready for run in one.runs
        },
        "diagnoses": {view_name(plan, one.view): one.fingerprint for one in now.examinations},
    }
    found["baselines"] = {name: own for name, own in found["pools"].items() if own in baselines}
    found["pools"] = {name: own for name, own in found["pools"].items() if own not in baselines}
    assert sum(map(len, found.values())) == len(plan.pools) + len(plan.views) + len(
        now.examinations
    ) + sum(len(one.runs) for one in now.ready), "two steps of one name"
    return {kind: dict(sorted(own.items())) for kind, own in found.items() if own}


def _quickstart(folder):
    _write_rows(folder / "demo", "demo-reviews")
    own = [f"splits={_splits(folder / 'demo', 'demo-reviews')}", "factors.quantity=[0, 16, 24, 32]"]
    exclude = '[{trainer = "finetune", quantity = [16, 24]}, {trainer = "finetune", real = 0}]'
    return _filled(folder, "quickstart.toml", *own, f"exclude={exclude}")


def _recorded(folder):
    data = folder / "data"
    for split, file in {"train": "train", "validation": "dev", "test": "test"}.items():
        _write_packed(data / f"sst2/{file}.jsonl.gz", _rows("sst2", split, ROWS[split]))
    for file in ("supergen/sst2", "fewgen/sst2_seed13"):
        rows = _rows("sst2", file, 200)
        _write_packed(data / f"llm_generated/{file}.jsonl.gz", rows)
    own = ["factors.quantity=[0, 16, 32]", "factors.real=[0, 10, 40]"]
    exclude = "exclude=[{real = 40, quantity = [16, 32]}]"
    return _filled(folder, "recorded-sst2.toml", *own, exclude)


def _boolq(folder):
    own = ["factors.quantity=[0, 32]", "factors.real=[0, 10, 40]", "diagnose.real=20"]
    recipes = (
        'exclude=[{quantity = 32, real = 40}, {quantity = 0, real = 10}, {recipe = "zero_shot"'
    )
    exclude = f"{recipes}, rephrase = true}}]"
    return _filled(folder, "paper/boolq-bias.toml", *_paper(folder, ["boolq"]), *own, exclude)


def _main_grid(folder):
    tasks = ["sst2", "emotion", "nyt_topics", "amazon_reviews", "rte", "boolq"]
    own = ["factors.quantity=[32]", "baseline.shots=[0, 3]"]
    return _filled(folder, "paper/main-grid.toml", *_paper(folder, tasks), *own)


PLANNED = {
    "quickstart": _quickstart,
    "recorded-sst2": _recorded,
    "boolq-bias": _boolq,
    "main-grid": _main_grid,
}


def _filled(folder, study, *overrides):
    own = [one.partition("=")[0] for one in overrides]
    sizes = [one for one in SIZES if one.partition("=")[0] not in own]
    # an absolute root takes the place of the one beside the study's file
    return Golden(STUDIES / study, [*sizes, *overrides], folder / study).fill()


def _paper(folder, tasks):
    """Return what keeps a study of the paper small, and off the hub."""
    for name in ("llm", "classifier"):
        if not (folder / name).exists():
            write_model(folder / name, name)
    splits = ", ".join(
        f"{name} = {_splits(_write_rows(folder / 'paper', name), name)}" for name in tasks
    )
    return [
        f"splits={{{splits}}}",
        f"generate.model={json.dumps(str(folder / 'llm'))}",
        f"train.model={json.dumps(str(folder / 'classifier'))}",
        *([f"diagnose.model={json.dumps(str(folder / 'classifier'))}"] if len(tasks) == 1 else []),
        "generate.topics={write=20}",
        "generate.shot_rows=20",
    ]


def _write_rows(folder, name):
    folder.mkdir(exist_ok=True)
    for split, count in ROWS.items():
        write_jsonl(folder / f"{name}-{split}.jsonl", _rows(name, split, count))
    return folder


def _rows(name, split, count):
    task = load_task(name, Path.cwd())
    labels = list(task.labels)
    return [
        {
            **{field: f"{field} {number} of {split}, {name}" for field in task.fields},
            "label": labels[number % len(labels)],
        }
        for number in range(count)
    ]


def _splits(folder, name):
    files = [f'{split} = "{folder / f"{name}-{split}.jsonl"}"' for split in ROWS]
    return f"{{{', '.join(files)}}}"


def _write_packed(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def text_of(found):
    """Return fingerprints as the golden file has them."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":  # writes the golden file: only where an identity is meant to change
    with tempfile.TemporaryDirectory() as place:
        GOLDEN.write_text(text_of(fingerprints(Path(place))), encoding="utf-8")
    sys.stdout.write(f"{GOLDEN} is written\n")
