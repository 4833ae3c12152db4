"""How fast many classifiers are trained: the fleet, ``transformers.Trainer``, a trainer per run."""

import json as jsonlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, DataError
from engine.generate.embedded.grammar import grammar
from engine.make.fill import fill_views
from engine.make.make import prepare
from engine.make.work import Work
from engine.mix.training_set import ordered_rows, training_set
from engine.models import PACKAGED_ENCODER, resolve_model
from engine.nodes.session import ray_session
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.steps.mix import Example
from engine.steps.run import SCORED
from engine.store.schema import Draws
from engine.store.store import Store
from engine.study.load import load_study
from engine.tasks.task import Split
from jobs.bench.generate_rivals import elsewhere
from jobs.bench.machine import machine
from jobs.bench.memory import ChildrenPeak
from jobs.bench.train_rivals import TUNED, Inputs, Spent, fleet, one_trainer_per_run, trainer

ARMS = ("trainer", "trainer_tuned", "one_trainer_per_run", "fleet")
TASK = "demo-reviews"
LABELS = ("negative", "neutral", "positive")
SETS = 16  # training sets, at most; more runs are repeats on them
TINY = "tiny"  # the name of a model that is made for the purpose
SPARE = 64  # rows of each label beyond those wanted: a few are duplicates
STUDY = """
name = "bench"
task = "demo-reviews"
[generate]
engine = "recorded"
[train]
learning_rate = 1e-4
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is trained.

    Attributes:
        runs: Classifiers.
        rows: Rows that each is trained on.
        steps: Optimiser steps of each.
        batch_size: Rows per step.
        model: The classifier.
    """

    runs: int
    rows: int
    steps: int
    batch_size: int
    model: str


def bench_train(load: Load, arms: Sequence[str], json: bool) -> str:
    """Train the same classifiers in the ways named, one way after another; compare their time.

    ``trainer`` is one ``transformers.Trainer`` after another in one process, as it comes: float32,
    on all cores. ``trainer_tuned`` is the same in bfloat16, with rows of like length together.
    ``one_trainer_per_run`` is Ray Train with a ``TorchTrainer`` for each run, as many at a time as
    have room, and textmill's loop in it. ``fleet`` is what ``textmill run`` does.

    All have the same training sets, of rows that the demo's grammar wrote and textmill judged, each
    run its own; the same hand-written rows to predict, of the splits validation and test, after
    each run; the same model, steps, batch size, learning rate and its course, weight decay and
    clipping. Each way runs in a process of its own. Seconds are counted there until the last
    prediction: for Trainer, from when all is imported and a model was loaded once; for the two
    others, from when Ray is up, so that the start of their workers counts. The ratio says how
    many times as fast the fleet is.

    The machine must have nothing else to do: where another process wants the cores, torch's threads
    wait for each other with open eyes, and a fine-tune on two of them was seen to take ten times as
    long. The load average before each way is told; some of the way before it is still in it.

    Raises:
        ConfigError: One of the ways is not known, or lacks a package.
    """
    for name in arms:
        if name not in ARMS:
            raise ConfigError(f"--arms: there is no {name!r}; there are {', '.join(ARMS)}.")
        if name.startswith("trainer") and find_spec("accelerate") is None:
            raise ConfigError(
                f"--arms: {name} needs accelerate, without which transformers.Trainer does not "
                "start: pip install 'accelerate==1.15.*', or leave it out: "
                "--arms one_trainer_per_run,fleet."
            )
    with tempfile.TemporaryDirectory() as folder:
        inputs = _inputs(load, Path(folder))
        taken: dict[str, Spent] = {}
        peaks: dict[str, int | None] = {}
        loads: dict[str, float] = {}
        for name in arms:
            loads[name] = round(os.getloadavg()[0], 1)
            with ChildrenPeak() as peak:
                taken[name] = _measured(name, inputs)
            peaks[name] = peak.mib
    figures = {
        "seconds": {name: round(spent.seconds, 2) for name, spent in taken.items()},
        "ratio": {
            name: round(spent.seconds / taken["fleet"].seconds, 3)
            for name, spent in taken.items()
            if "fleet" in taken and name != "fleet"
        },
        "mean_accuracy": {name: round(spent.accuracy, 4) for name, spent in taken.items()},
        "peak_mib": peaks,
        "start_s": {name: round(spent.start_s, 1) for name, spent in taken.items()},
        **{name: figure for spent in taken.values() for name, figure in spent.more.items()},
        "load_before": loads,
        "runs": load.runs,
        "rows": load.rows,
        "steps": load.steps,
        "batch_size": load.batch_size,
        "scored_rows": sum(len(rows) for rows in inputs.scored.values()),
        "precision": inputs.runs[0].precision,
        "model": Path(load.model).name,
        "machine": machine(),
    }
    return jsonlib.dumps(figures, indent=1) if json else _lines(figures)


def _measured(arm: str, inputs: Inputs) -> Spent:
    if arm.startswith("trainer"):
        return elsewhere(trainer, inputs, TUNED if arm == "trainer_tuned" else {})
    root = Path(inputs.store.root)
    shutil.copytree(root, root.with_name(arm))
    copied = Inputs(inputs.runs, inputs.sets, inputs.scored, Store.open(str(root.with_name(arm))))
    return elsewhere(fleet if arm == "fleet" else one_trainer_per_run, copied)


def _inputs(load: Load, folder: Path) -> Inputs:
    """Have textmill make the training sets."""
    sets = min(load.runs, SETS)
    for run in range(sets):
        lines = "\n".join(map(jsonlib.dumps, _records(run, load.rows // len(LABELS) + 1 + SPARE)))
        (folder / f"{run}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    model = _tiny(folder / "model") if load.model == TINY else load.model
    place = str(Path(model).resolve()) if Path(model).is_dir() else model
    overrides = [
        f"repeats={math.ceil(load.runs / sets)}",
        f"factors.records={jsonlib.dumps([f'{run}.jsonl' for run in range(sets)])}",
        f"mix.quantity={load.rows}",
        f"train.model={jsonlib.dumps(place)}",
        f"train.steps={load.steps}",
        f"train.batch_size={load.batch_size}",
    ]
    plan = make_plan(load_study(folder / "study.toml", overrides))
    store = Store.open(str(folder / "root"))
    prepare(plan, store)
    with ray_session():
        fill_views(Work(plan, store, lambda _: None), survey(plan, store))
    ready = [
        ready_cell for ready_cell in survey(plan, store).ready if ready_cell.rows.rows == load.rows
    ]
    if len(ready) < sets:
        raise DataError(f"The demo's grammar does not write {load.rows} different rows; ask fewer.")
    (gold,) = plan.gold.values()
    scored: dict[Split, list[Example]] = {
        split: [
            Example(row["label"], row["text"], row["text_pair"])
            for row in gold[split].table.to_pylist()
        ]
        for split in SCORED
    }
    order = ordered_rows(gold["train"].table, 0)
    # set after set before the next repeat: the first runs then differ in as many sets as they can
    pairs = [
        (run, training_set(store, run.mix, order).examples)
        for runs in zip(*(ready_cell.runs for ready_cell in ready), strict=True)
        for run, ready_cell in zip(runs, ready, strict=True)
    ]
    runs, examples = zip(*pairs[: load.runs], strict=True)
    return Inputs(runs, examples, scored, store)


def _tiny(folder: Path) -> str:
    """Make a model of random weights that costs next to nothing, to see what costs besides."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer: Any = AutoTokenizer.from_pretrained(
        resolve_model(PACKAGED_ENCODER, "main", "").place
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def _records(run: int, each: int) -> Iterator[dict[str, str]]:
    for label in LABELS:
        for number in range(each):
            draws = Draws("bench", str(run), label, str(number))
            product = draws.choice(grammar().products)
            yield {"label": label, "text": grammar().write(TASK, label, product, draws)}


def _lines(figures: dict[str, Any]) -> str:
    shown = ("seconds", "ratio", "mean_accuracy", "peak_mib", "start_s", "load_before")
    titles = ("seconds", "fleet to it", "accuracy", "peak MiB", "start s", "load before")
    lines = [f"{'':<20}" + "".join(f"{title:>13}" for title in titles)]
    for name in figures["seconds"]:
        cells = (figures[key].get(name, "") for key in shown)
        lines.append(f"{name:<20}" + "".join(f"{cell!s:>13}" for cell in cells))
    return "\n".join([*lines, *(f"{k:<20} {v}" for k, v in figures.items() if k not in shown)])
