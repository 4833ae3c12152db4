"""The embedded model: what it was taught is what textmill asks today, and nothing else is asked."""

import json

import pytest

from engine.errors import ConfigError
from engine.generate.embedded.grammar import grammar
from engine.generate.embedded.lessons import STRATEGIES, TASKS, demo_tasks
from engine.generate.embedded.scope import load_scope, wording_digest
from engine.generate.engine import Prompt, Setup
from engine.generate.engines.transformers_engine import TransformersEngine
from engine.models import embedded_folder
from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources

STUDY = """
name = "demo"
task = "{task}"
[generate]
model = "textmill-demo"
top_p = 0.9
max_tokens = 80
[mix]
quantity = 12
"""


@pytest.fixture
def study(tmp_path):
    def plan(*overrides, task="demo-reviews"):
        (tmp_path / "study.toml").write_text(STUDY.format(task=task))
        return make_plan(load_study(tmp_path / "study.toml", overrides))

    return plan


def test_the_model_was_taught_the_prompts_of_today():
    """If this fails, a prompt was worded anew: train the embedded model again."""
    scope, tasks = load_scope(embedded_folder()), demo_tasks()
    assert scope.strategies == list(STRATEGIES)
    assert scope.tasks == {name: wording_digest(tasks[name], STRATEGIES) for name in tasks}
    assert scope.topics == grammar().products == tasks["demo-support"].topics


def test_the_model_is_small_and_whole():
    size = sum(path.stat().st_size for path in embedded_folder().iterdir())
    assert size < 9_000_000
    config = json.loads((embedded_folder() / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["dtype"]) == ("llama", "float32")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["task=sst2", "splits.train=gold.jsonl"], "'sst2' is another task"),
        (["task=reworded.toml"], "'demo-reviews' is another task, or worded in another way"),
        (["generate.strategy=template"], "generate.strategy is 'template'"),
        (["generate.strategy=topic", "generate.topics=['kettle', 'airship']"], "'airship' is none"),
        (["generate.strategy=few_shot", "generate.shots=6"], "generate.shots is 6"),
    ],
)
def test_what_the_model_was_not_taught_is_refused(study, tmp_path, overrides, says):
    gold = [{"label": label, "text": f"{label} {n}"} for label in "ab" for n in range(9)]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, gold)))
    if "sst2" in overrides[0]:
        labels = ("negative", "positive")
        rows = [{"label": label, "text": f"{label} {n}"} for label in labels for n in range(9)]
        (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, rows)))
        overrides = [*overrides, "splits.validation=gold.jsonl", "splits.test=gold.jsonl"]
    task = demo_tasks()["demo-reviews"]
    whole = json.loads(task.model_dump_json(exclude_none=True))
    whole["wording"]["request"] = "Please write one {label} product review: {description}."
    (tmp_path / "reworded.toml").write_text(_toml(whole))
    with pytest.raises(ConfigError, match=f"a toy that can only be asked.*{says}"):
        study(*overrides)


def _toml(whole):
    lines = [f"name = {json.dumps(whole['name'])}", f"topics = {json.dumps(whole['topics'])}"]
    for section in ("labels", "fields", "wording"):
        lines += [f"[{section}]"]
        lines += [f"{key} = {json.dumps(text)}" for key, text in whole[section].items()]
    lines += ["[splits]"]
    lines += [f"{split} = {json.dumps(one['path'])}" for split, one in whole["splits"].items()]
    return "\n".join(lines)


def test_another_model_is_asked_anything(study, tiny_llm):
    asked = ["generate.strategy=topic", "generate.topics=['airship']"]
    assert study(*asked, f"generate.model={tiny_llm}").pools


WAYS = [
    (strategy, task)
    for strategy in ("zero_shot", "topic", "one_shot", "few_shot")
    for task in TASKS
]


@pytest.mark.parametrize(
    ("strategy", "task"),
    # each strategy and each task has its turn
    [
        way if number in (0, 3, 4, 7) else pytest.param(*way, marks=pytest.mark.long)
        for number, way in enumerate(WAYS)
    ],
)
def test_its_rows_are_the_same_in_batches_of_any_size(study, tmp_path, task, strategy):
    pool = study(f"generate.strategy={strategy}", task=task).pools[0]
    store = Store.open(str(tmp_path / "root"))
    asks = pool.strategy_on(study(task=task).gold[task]["train"].table)
    prompts = []
    for at in range(8):
        for slot in pool.slots:
            row = pool.row(slot, at)
            prompts.append(Prompt(row, asks.ask(row).text, pool))
    rows = {}
    for at_once in (64, 5):
        resources = Resources(max_num_seqs=at_once, engine_cpus=1)
        engine = TransformersEngine(Setup(store, pool.config, resources, pool.model))
        rows[at_once] = {str(one.row): one.text for one in engine.complete(prompts)}
    assert rows[5] == rows[64]
    assert len(set(rows[5].values())) > 0.9 * len(prompts)
    if strategy == "topic":
        topics = [asks.ask(prompt.row).attributes["topic"] for prompt in prompts]
        named = [
            topic in rows[5][str(prompt.row)].lower()
            for topic, prompt in zip(topics, prompts, strict=True)
        ]
        assert sum(named) > 0.8 * len(named)
