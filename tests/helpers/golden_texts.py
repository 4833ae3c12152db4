"""What the embedded model writes, row by row: 500 rows of recipes of every kind.

The recipes' rows have random numbers of their own, which follow from a made-up fingerprint: a pool
whose identity changes keeps its texts here.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from engine.generate.embedded.lessons import demo_tasks
from engine.generate.engine import Prompt, Setup
from engine.generate.engines.transformers_engine import TransformersEngine
from engine.models import EMBEDDED
from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.config import GenerateConfig, MixConfig
from engine.study.resources import Resources
from engine.study.study import Study, StudyFile
from engine.tasks.gold import load_gold

GOLDEN = Path(__file__).parent / "texts.json"
GROUP = 50  # rows that have one hash
SHOWN = 2  # rows of each recipe that stand in the golden file as they are
REVIEWS, SUPPORT = "demo-reviews", "demo-support"
RECIPES = {
    "zero_shot": (REVIEWS, 100, {"strategy": "zero_shot", "top_p": 0.9, "max_tokens": 80}),
    "few_shot": (REVIEWS, 100, {"strategy": "few_shot", "top_p": 0.9, "max_tokens": 80}),
    "greedy": (SUPPORT, 50, {"strategy": "few_shot", "temperature": 0.0, "max_tokens": 64}),
    "plain": (SUPPORT, 50, {"strategy": "topic", "temperature": 0.7}),
    "top_k": (REVIEWS, 50, {"strategy": "topic", "top_k": 20, "top_p": 0.95}),
    "min_tokens": (SUPPORT, 50, {"strategy": "one_shot", "min_tokens": 40, "top_p": 0.9}),
    "stop": (REVIEWS, 50, {"strategy": "one_shot", "stop": [". ", "the b", "!"]}),
    "limit": (SUPPORT, 50, {"strategy": "zero_shot", "max_tokens": 12, "temperature": 2.0}),
}


def answers(at_once=128):
    """Return the completions of each recipe's rows, by recipe, in the order of the rows."""
    tasks = demo_tasks()
    train = {name: load_gold(task)["train"].table for name, task in tasks.items()}
    prompts = {
        name: _prompts(tasks[task], train[task], name, rows, own)
        for name, (task, rows, own) in RECIPES.items()
    }
    everything = [prompt for some in prompts.values() for prompt in some]
    pool = everything[0].pool
    with tempfile.TemporaryDirectory() as folder:
        resources = Resources(engine_cpus=1, engine_gpus=0, max_num_seqs=at_once)
        setup = Setup(Store.open(folder), pool.config, resources, pool.model)
        completions = {row.row: row for row in TransformersEngine(setup).complete(everything)}
    assert len(completions) == len(everything)
    return {name: [completions[prompt.row] for prompt in some] for name, some in prompts.items()}


def _prompts(task, train, name, rows, own):
    study = Study(
        name="golden",
        task=[task.name],
        generate=GenerateConfig(engine="transformers", model=EMBEDDED, **own),
        mix=MixConfig(quantity=1),
    )
    (pool,) = make_plan(StudyFile(study, {task.name: task}, Path("golden.toml"))).pools
    made_up = hashlib.sha256(name.encode()).hexdigest()
    pool = type(pool)(**{**vars(pool), "fingerprint": made_up})
    asks = pool.strategy_on(train)
    slots = pool.slots
    named = [pool.row(slots[at % len(slots)], at // len(slots)) for at in range(rows)]
    return [Prompt(row, asks.ask(row).text, pool) for row in named]


def summary(completions):
    """Return what the golden file says of a recipe's completions."""
    told = [
        [row.text, row.prompt_tokens, row.completion_tokens, row.finish_reason, row.error]
        for row in completions
    ]
    groups = [told[start : start + GROUP] for start in range(0, len(told), GROUP)]
    return {
        "sha256": [hashlib.sha256(json.dumps(some).encode()).hexdigest() for some in groups],
        "mean_logprobs": [round(row.mean_logprob, 4) for row in completions],
        "rows": told[:SHOWN],
    }


if __name__ == "__main__":  # writes the golden file: only where other texts are meant
    whole = {name: summary(completions) for name, completions in answers().items()}
    GOLDEN.write_text(json.dumps(whole, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{GOLDEN} is written\n")
