"""What the embedded model writes, measured: labels kept, aspects, copies. Its page quotes it."""

import json as jsonlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.curate.parse import Parsed, layout, parse
from engine.curate.text import normalised
from engine.errors import ConfigError
from engine.generate.embedded.grammar import grammar
from engine.generate.embedded.lessons import TASKS, demo_tasks, lessons
from engine.generate.embedded.scope import load_scope
from engine.generate.engine import Completion, Prompt, Setup, engine_class
from engine.models import PACKAGED_ENCODER, resolve_model, resolve_precision
from engine.plan.plan import make_plan
from engine.steps.mix import Example
from engine.steps.pool import Pool
from engine.store.store import Store
from engine.study.config import GenerateConfig, MixConfig, TrainConfig
from engine.study.resources import Resources
from engine.study.study import Study, StudyFile
from engine.tasks.gold import load_gold
from engine.tasks.task import Task
from engine.train.trainer import Hardware, RowSet
from engine.train.trainers.finetune import Finetune
from engine.train.trainers.spec import ClassifierSpec
from jobs.bench.machine import machine

STRATEGIES = ("zero_shot", "topic", "one_shot", "few_shot")
TEMPERATURES = (0.7, 1.0)
TOP_P = 0.9
SAMPLES = 12
JUDGE = TrainConfig(steps=300, batch_size=16, learning_rate=1e-4, max_length=64)


class Written(NamedTuple):
    """One row that the model wrote."""

    strategy: str
    temperature: float
    label: str
    text: str


def bench_embedded(rows: int, model: str, json: bool) -> str:
    """Measure the embedded model on both demo tasks.

    Asked label kept: the share of rows to which a classifier gives the label that was asked for; it
    is the packaged encoder, fine-tuned on all gold rows of the task. Slips, duplicates and texts
    that are word for word among the lessons are counted over all rows at temperature 1.0.

    Args:
        rows: Rows of each task, strategy and temperature.
        model: The model to measure.
        json: Whether to return JSON.
    """
    taught = _taught(model)
    figures: dict[str, Any] = {"rows_each": rows, "top_p": TOP_P}
    for name, task in demo_tasks().items():
        started = time.monotonic()
        written, tokens = _write(task, rows, model)
        seconds = time.monotonic() - started
        figures[name] = {
            "label_kept": _kept(task, written),
            **_copies([row for row in written if row.temperature == 1.0], taught),
            "rows_per_s": round(len(written) / seconds, 1),
            "tokens_per_s": round(tokens / seconds),
        }
    figures["machine"] = machine()
    return jsonlib.dumps(figures, indent=1) if json else _text(figures)


def _taught(model: str) -> set[str]:
    place = resolve_model(model, "main", "--model").place
    scope = load_scope(Path(place))
    if scope is None:
        raise ConfigError(f"{place} was not built by textmill: it has no textmill.json.")
    return {lesson.text for lesson in lessons(scope.seed, scope.lessons)}


def _write(task: Task, rows: int, model: str) -> tuple[list[Written], int]:
    """Return rows of each strategy and temperature, and how many tokens they took."""
    pools = {
        (strategy, temperature): _pool(task, model, strategy, temperature)
        for strategy in STRATEGIES
        for temperature in TEMPERATURES
    }
    train = load_gold(task)["train"].table
    prompts = []
    for pool in pools.values():
        asks = pool.strategy_on(train)
        for at in range(rows):
            row = pool.row(pool.slots[at % len(pool.slots)], at // len(pool.slots))
            prompts.append(Prompt(row, asks.ask(row).text, pool))
    first = prompts[0].pool
    with tempfile.TemporaryDirectory() as folder:
        resources = Resources(engine_cpus=2, max_num_seqs=64)
        setup = Setup(Store.open(folder), first.config, resources, first.model)
        answers = list(engine_class(first.config.engine)(setup).complete(prompts))
    names = {pool.fingerprint: name for name, pool in pools.items()}
    written = [_written(task, names[answer.row.pool], answer) for answer in answers]
    return written, sum(answer.completion_tokens or 0 for answer in answers)


def _pool(task: Task, model: str, strategy: str, temperature: float) -> Pool:
    study = Study(
        name="bench",
        task=[task.name],
        generate=GenerateConfig(
            engine="transformers",
            model=model,
            strategy=strategy,
            temperature=temperature,
            top_p=TOP_P,
            max_tokens=96,
        ),
        mix=MixConfig(quantity=1),
    )
    return make_plan(StudyFile(study, {task.name: task}, Path("bench.toml"))).pools[0]


def _written(task: Task, name: tuple[str, float], answer: Completion) -> Written:
    parsed = parse(answer.text, layout(task))
    text = (parsed.text or "") if isinstance(parsed, Parsed) else ""
    return Written(*name, answer.row.slot, text)


def _kept(task: Task, written: Sequence[Written]) -> dict[str, dict[str, float]]:
    """Return the share of rows that keep their label, by strategy and temperature."""
    model, labels = resolve_model(PACKAGED_ENCODER, "main", "train.model"), list(task.labels)
    gold = [
        Example(row["label"], row["text"], None)
        for rows in load_gold(task).values()
        for row in rows.table.to_pylist()
    ]
    asked = [Example(row.label, row.text, None) for row in written]
    known, unknown = RowSet("gold", gold), RowSet("asked", asked)
    spec = ClassifierSpec(model, labels, JUDGE, resolve_precision("auto"), 0)
    judged = Finetune().fit(known, {"test": unknown}, spec, Hardware())
    kept: dict[tuple[str, float], list[bool]] = defaultdict(list)
    for predicted, row in zip(judged.predictions["test"], written, strict=True):
        kept[row.strategy, row.temperature].append(labels[predicted] == row.label)
    return {
        strategy: {f"T {degree}": _share(kept[strategy, degree]) for degree in TEMPERATURES}
        for strategy in STRATEGIES
    }


def _copies(written: Sequence[Written], taught: set[str]) -> dict[str, Any]:
    texts = [row.text for row in written]
    slips = [slip for slip in map(grammar().slips, texts) if slip is not None]
    comparable = [normalised(text) for text in texts]
    return {
        "aspect_slips": _share(slips),
        "texts_with_an_aspect": len(slips),
        "duplicates": 1 - len(set(comparable)) / len(comparable),
        "word_for_word_taught": _share([text in taught for text in texts]),
        "every_sentence_of_the_grammar": _share(list(map(grammar().covers, texts))),
        "mean_words": round(sum(len(text.split()) for text in texts) / len(texts), 1),
        "samples": [
            f"{row.label}: {row.text}" for row in written[:: max(1, len(written) // SAMPLES)]
        ],
    }


def _share(flags: Sequence[bool]) -> float:
    return round(sum(flags) / len(flags), 4)


def _text(figures: dict[str, Any]) -> str:
    lines = [f"{figures['rows_each']} rows of each task, strategy and temperature, top_p {TOP_P}"]
    for task in TASKS:
        task_figures = dict(figures[task])
        lines += ["", f"{task}: asked label kept"]
        for strategy, shares in task_figures.pop("label_kept").items():
            degrees = ", ".join(f"{name}: {100 * share:.1f} %" for name, share in shares.items())
            lines.append(f"  {strategy:<10} {degrees}")
        samples = task_figures.pop("samples")
        lines += [f"  {name:<30} {value}" for name, value in task_figures.items()]
        lines += [f"    {sample}" for sample in samples]
    return "\n".join([*lines, "", str(figures["machine"])])
