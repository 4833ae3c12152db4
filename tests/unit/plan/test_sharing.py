"""Two studies that differ in one field share exactly the steps that do not read it: every field.

What is expected is written down here, after engine/README.md ("Identity"), and not taken from what
plug-ins say that they read. Rows are written by hand, each pool's own, so that training sets and
runs are told apart by what they hold.
"""

import shutil
from copy import deepcopy
from typing import NamedTuple

import pytest
import tomli_w
from cheap_plans import read_once, write_model
from random_studies import fields_of
from toy_study import TASK, toy_rows, write_jsonl
from written_pools import commit_rows, judge

from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.schema import NONE
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.study import Study

KINDS = ("topics", "pool", "view", "set", "run", "baseline", "diagnosis")

# Who reads a field first, and with it what is made from that. A diagnosis looks at the synthetic
# rows that are trained on.
NOTHING = frozenset()
RUN = frozenset({"run"})
REAL_ROWS = RUN | {"set"}
AMOUNT = REAL_ROWS | {"diagnosis"}
VIEW = AMOUNT | {"view"}
POOL = VIEW | {"pool"}
LLM = POOL | {"baseline"}  # which is asked for labels too
BASELINE = frozenset({"baseline"})
DIAGNOSIS = frozenset({"diagnosis"})

COMMITS = {"main": "c0ffee" * 6 + "c0ff", "older": "decade" * 6 + "deca"}
TAGS = {**COMMITS, "tagged": COMMITS["main"]}


class Field(NamedTuple):
    """What is expected of a field.

    Attributes:
        value: A second value, which is not its default.
        other: The kinds of steps that are all others then.
        more: The kinds of which there are those of before, and further ones.
        fewer: The kinds of which some are left.
        base: What else a study says in which the field counts.
        idle: What else studies say in which it does not.
    """

    value: object
    other: frozenset[str] = NOTHING
    more: frozenset[str] = NOTHING
    fewer: frozenset[str] = NOTHING
    base: dict[str, object] = {}  # noqa: RUF012 - nobody changes it
    idle: tuple[dict[str, object], ...] = ()


BASE = {
    "name": "first",
    "task": "task.toml",
    "repeats": 2,
    "generate.engine": "vllm",
    "generate.model": "./llm",
    "mix.quantity": 8,
    "train.model": "./encoder",
    "train.precision": "float32",
    "baseline.shots": [0, 3],
    "diagnose.model": "./encoder",
}
# None takes a section out
VERBATIM = {"generate.engine": "verbatim", "baseline": None}
RECORDED = {
    "generate.engine": "recorded",
    "generate.records": "records.jsonl",
    "baseline": None,
}
TRANSFORMERS = {"generate.engine": "transformers"}
REAL_ALONE = {"mix.quantity": 0, "mix.real": 8, "baseline": None}
HEAD = {"train.trainer": "head"}
EPOCHS = {"train.epochs": 2.0}
TEMPLATES = {
    **VERBATIM,
    "generate.strategy": "template",
    "generate.templates": {"bad": ["{thing} was bad"], "good": ["{thing} was good"]},
    "generate.attributes": {"thing": ["tea", "rye"]},
}
TOPICS = {"generate.strategy": "topic", "generate.topics": ["tea", "rye"]}
WRITTEN = {"generate.strategy": "topic", "generate.topics": {"write": 5}}
FEW_SHOT = {"generate.strategy": "few_shot"}
ONE_SHOT = {"generate.strategy": "one_shot"}
HUB = "someone/something"
LORA = {"train.lora_rank": 4}

MODEL = Field("./other-llm", LLM, idle=(VERBATIM, RECORDED))
SAMPLING = Field(0.5, POOL, idle=(VERBATIM, RECORDED))
OF_VLLM = SAMPLING._replace(idle=(VERBATIM, RECORDED, TRANSFORMERS))
FINE_TUNING = Field(None, RUN, idle=(HEAD,))

FIELDS = {
    "name": Field("second"),
    "task": Field("other.toml", LLM - BASELINE),  # whose name is no part of what is asked
    "splits": Field({"test": "other-test.jsonl"}, RUN | {"view", "baseline"}),
    "metric": Field("macro_f1"),
    "repeats": Field(3, more=RUN, idle=(HEAD,)),
    "replicates": Field(2, more=LLM),
    "factors": Field({"mix.quantity": [8, 12]}, DIAGNOSIS, more=REAL_ROWS),
    "exclude": Field(
        [{"mix.quantity": 12}],
        DIAGNOSIS,
        fewer=REAL_ROWS,
        base={"factors": {"mix.quantity": [8, 12]}},
    ),
    "published": Field("li2024"),
    "baseline": Field({"shots": [0]}, more=BASELINE, base={"baseline": None}),
    "diagnose": Field({"model": "./encoder"}, more=DIAGNOSIS, base={"diagnose": None}),
    # -- generate
    "generate.engine": Field("transformers", LLM),
    "generate.model": MODEL,
    "generate.revision": MODEL._replace(value="older", base={"generate.model": HUB}),
    "generate.temperature": SAMPLING,
    "generate.top_p": SAMPLING,
    "generate.top_k": SAMPLING._replace(value=5),
    "generate.min_p": OF_VLLM,
    "generate.presence_penalty": OF_VLLM,
    "generate.frequency_penalty": OF_VLLM,
    "generate.repetition_penalty": OF_VLLM,
    "generate.min_tokens": SAMPLING._replace(value=1),
    "generate.max_tokens": SAMPLING._replace(value=99),
    "generate.stop": SAMPLING._replace(value=["###"]),
    "generate.structured": OF_VLLM._replace(value={"regex": "a+"}),
    "generate.structured.choice": OF_VLLM._replace(
        value=["a"], base={"generate.structured": {"choice": ["b"]}}
    ),
    "generate.structured.json_schema": OF_VLLM._replace(
        value={"type": "object"}, base={"generate.structured": {"json_schema": {"type": "array"}}}
    ),
    "generate.structured.regex": OF_VLLM._replace(
        value="a+", base={"generate.structured": {"regex": "b+"}}
    ),
    "generate.adapter": MODEL._replace(value="./adapter", idle=(VERBATIM, RECORDED, TRANSFORMERS)),
    "generate.engine_args": MODEL._replace(value={"dtype": "float32"}),
    "generate.strategy": Field("topic", POOL, base=TOPICS | ONE_SHOT, idle=(RECORDED,)),
    "generate.labelling": Field("left_to_right", POOL, idle=(TEMPLATES, RECORDED)),
    "generate.rephrase": Field(  # what is put in other words is the pool and the view of before
        True, AMOUNT, more=frozenset({"pool", "view"}), idle=(RECORDED,)
    ),
    "generate.topics": Field(["tea", "oats"], POOL, base=TOPICS, idle=(ONE_SHOT, RECORDED)),
    "generate.topics.write": Field(6, POOL | {"topics"}, base=WRITTEN, idle=(ONE_SHOT, RECORDED)),
    "generate.shots": Field(2, POOL, base=FEW_SHOT, idle=(ONE_SHOT, RECORDED)),
    "generate.shot_rows": Field(9, POOL, base=FEW_SHOT, idle=(TOPICS, RECORDED)),
    "generate.templates": Field(
        {"bad": ["a bad {thing}"], "good": ["a good {thing}"]},
        POOL,
        base=TEMPLATES,
        idle=(FEW_SHOT, RECORDED),
    ),
    "generate.attributes": Field(
        {"thing": ["oats"]}, POOL, base=TEMPLATES, idle=(FEW_SHOT, RECORDED)
    ),
    "generate.records": Field("other-records.jsonl", POOL, base=RECORDED, idle=(VERBATIM,)),
    # -- curate
    "curate.filters": Field(["duplicate"], VIEW),
    "curate.min_words": Field(4, VIEW, idle=({"curate.filters": ["duplicate"]},)),
    "curate.max_words": Field(5, VIEW, idle=({"curate.filters": ["duplicate"]},)),
    # -- mix
    "mix.quantity": Field(12, AMOUNT),
    "mix.real": Field(4, REAL_ROWS),
    "mix.prior": Field({"bad": 1.0, "good": 3.0}, AMOUNT),
    # -- train
    "train.trainer": Field("head", RUN),
    "train.model": Field("./other-encoder", RUN),
    "train.revision": Field("older", RUN, base={"train.model": HUB}),
    "train.steps": FINE_TUNING._replace(value=50, idle=(HEAD, EPOCHS)),
    "train.epochs": FINE_TUNING._replace(value=2.0),
    "train.batch_size": FINE_TUNING._replace(value=4),
    "train.learning_rate": FINE_TUNING._replace(value=1e-3),
    "train.weight_decay": FINE_TUNING._replace(value=0.5),
    "train.warmup": FINE_TUNING._replace(value=0.5),
    "train.max_length": Field(64, RUN),
    "train.max_grad_norm": FINE_TUNING._replace(value=2.0),
    "train.precision": FINE_TUNING._replace(value="bfloat16"),
    "train.label_smoothing": FINE_TUNING._replace(value=0.1),
    "train.class_weights": FINE_TUNING._replace(value="balanced"),
    "train.synthetic_weight": FINE_TUNING._replace(value=0.5),
    "train.evaluate_every": FINE_TUNING._replace(value=10),
    "train.patience": FINE_TUNING._replace(value=3, base={"train.evaluate_every": 10}),
    "train.lora_rank": FINE_TUNING._replace(value=4),
    "train.lora_alpha": FINE_TUNING._replace(value=8.0, base=LORA),
    "train.lora_dropout": FINE_TUNING._replace(value=0.1, base=LORA),
    "train.lora_targets": FINE_TUNING._replace(value=["query"], base=LORA),
    "train.inverse_regularisation": Field(
        2.0, RUN, base=HEAD, idle=({"train.trainer": "finetune"},)
    ),
    # -- how the LLM itself is asked
    "baseline.shots": Field([1, 2], BASELINE),
    "baseline.max_tokens": Field(9, BASELINE),
    "baseline.constrained": Field(False, BASELINE, idle=(TRANSFORMERS,)),
    "baseline.engine": Field("transformers", BASELINE),
    "baseline.model": Field("./other-llm", BASELINE),
    "baseline.revision": Field("older", BASELINE, base={"baseline.model": HUB}),
    "baseline.engine_args": Field({"dtype": "float32"}, BASELINE),
    # -- how rows are looked at
    "diagnose.real": Field(9, DIAGNOSIS),
    "diagnose.model": Field("./other-encoder", DIAGNOSIS),
    "diagnose.revision": Field("older", DIAGNOSIS, base={"diagnose.model": HUB}),
    "diagnose.max_length": Field(64, DIAGNOSIS),
    # -- where and how wide, when it is enough, what it costs, and how it is searched
    "resources.run_on": Field("here"),
    "resources.replicas": Field([1, 2]),
    "resources.engine_cpus": Field(2.0),
    "resources.engine_gpus": Field(1.0),
    "resources.engine_accelerator": Field("H100"),
    "resources.engine_resources": Field({"place": 0.5}),
    "resources.tensor_parallel": Field(2),
    "resources.pipeline_parallel": Field(2),
    "resources.memory_share": Field(0.5),
    "resources.max_num_seqs": Field(4),
    "resources.rows_per_call": Field(16),
    "resources.calls_in_flight": Field(2),
    "resources.patience_s": Field(5.0),
    "resources.endpoint": Field("http://localhost:8000/v1"),
    "resources.api_key_env": Field("OTHER_KEY"),
    "resources.request_timeout_s": Field(5.0),
    "resources.requests_per_minute": Field(5.0),
    "resources.tokens_per_minute": Field(5.0),
    "resources.fleet": Field(2),
    "resources.fleet_cpus": Field(2.0),
    "resources.fleet_gpus": Field(0.5),
    "resources.fleet_accelerator": Field("H100"),
    "resources.fleet_resources": Field({"place": 0.5}),
    "resources.data_parallel": Field(2),
    "resources.micro_batch": Field(2),
    "resources.compile_models": Field(True),
    "resources.keep_models": Field(True),
    "resources.share": Field("split"),
    "quota.attempts": Field(9.0),
    "quota.max_refused": Field(0.95),
    "quota.judged_after": Field(8),
    "budget.max_tokens": Field(10),
    "budget.max_hours": Field(1.0),
    "budget.max_cost": Field(1.0, base={"budget.price_hour": 1.0}),
    "budget.price_prompt": Field(1.0),
    "budget.price_completion": Field(1.0),
    "budget.price_hour": Field(1.0),
    "annotation.price_row": Field(1.0),
    "annotation.seconds_row": Field(1.0),
    "search.rungs": Field([4, 8]),
    "search.reduction_factor": Field(2.0),
    "search.sampler": Field("random"),
    "search.startup": Field(5),
    "search.stopping": Field("none"),
    "search.objectives": Field(["score", "tokens"]),
    "search.concurrent": Field(2),
    "search.seed": Field(1),
    "search.start_from": Field([{"batch_size": 4}]),
    "search.max_trials": Field(3),
    "search.max_hours": Field(1.0),
    "search.max_tokens": Field(10),
}


def test_the_table_has_every_field_that_a_study_can_say():
    assert sorted(FIELDS) == sorted(fields_of(Study))


@pytest.mark.parametrize("path", FIELDS)
def test_exactly_the_steps_that_read_a_field_are_others(steps, path):
    field = FIELDS[path]
    before, after = (steps(field.base, given) for given in ({}, {path: field.value}))
    for kind in KINDS:
        if kind in field.other:
            assert before[kind], kind
            assert after[kind], kind
            assert not before[kind] & after[kind], kind
        elif kind in field.more:
            assert before[kind] < after[kind], kind
        elif kind in field.fewer:
            assert before[kind] > after[kind], kind
        else:
            assert before[kind] == after[kind], kind


SYNTHETIC = [path for path in FIELDS if path.startswith(("generate.", "curate.", "mix.prior"))]
IDLE = [(path, idle) for path, field in FIELDS.items() for idle in field.idle]


@pytest.mark.parametrize(("path", "idle"), [*IDLE, *((path, REAL_ALONE) for path in SYNTHETIC)])
def test_where_nothing_reads_a_field_nothing_is_another(steps, path, idle):
    field = FIELDS[path]
    assert steps(field.base, idle) == steps(field.base, idle, {path: field.value})


REVISIONS = [path for path in FIELDS if path.endswith(".revision")]


@pytest.mark.parametrize("path", REVISIONS)
def test_another_name_of_the_same_commit_is_the_same_model(steps, path):
    base = FIELDS[path].base
    assert steps(base, {path: "tagged"}) == steps(base)


def test_a_run_knows_its_rows_by_what_they_are(steps):
    """A view of its own, which refuses the same rows, has training sets and runs in common."""
    before, after = steps({"curate.max_words": 98}), steps({"curate.max_words": 99})
    assert not before["view"] & after["view"]
    assert {kind: before[kind] for kind in VIEW - {"view"}} == {
        kind: after[kind] for kind in VIEW - {"view"}
    }


def test_another_place_of_the_same_content_changes_nothing(steps):
    moved = {
        "generate.model": "./copy-of-llm",
        "train.model": "./copy-of-encoder",
        "diagnose.model": "./copy-of-encoder",
        "splits": {"test": "copy-of-test.jsonl", "train": "copy-of-train.jsonl"},
    }
    assert steps(FEW_SHOT, moved) == steps(FEW_SHOT)
    assert steps(RECORDED, {"generate.records": "copy-of-records.jsonl"}) == steps(RECORDED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with all that the studies name. The models are none, and only their bytes count."""
    folder = tmp_path_factory.mktemp("sharing")
    for name in ("task", "other"):
        task = TASK.replace('"toy"', f'"{name}"')
        free = 'free = "Write one review, good or bad."\nrow ='
        (folder / f"{name}.toml").write_text(task.replace("row =", free))
    for number, name in enumerate(("train", "validation", "test", "records")):
        write_jsonl(folder / f"{name}.jsonl", toy_rows(40, start=1000 * number))
        shutil.copy(folder / f"{name}.jsonl", folder / f"copy-of-{name}.jsonl")
        write_jsonl(folder / f"other-{name}.jsonl", toy_rows(40, start=1000 * number + 500))
    for name in ("llm", "encoder", "other-llm", "other-encoder"):
        write_model(folder / name, name)
    for name in ("llm", "encoder"):
        shutil.copytree(folder / name, folder / f"copy-of-{name}")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / "adapter").mkdir(exist_ok=True)
        (folder / "adapter" / name).write_text("{}")
    repository = folder / "cache" / f"models--{HUB.replace('/', '--')}"
    for commit in COMMITS.values():
        write_model(repository / "snapshots" / commit, commit)
    (repository / "refs").mkdir()
    for tag, commit in TAGS.items():
        (repository / "refs" / tag).write_text(commit)
    return folder


@pytest.fixture(scope="module")
def steps(folder):
    """Return what tells all of a study's steps apart, by their kind."""
    store, known = Store.open(str(folder / "root")), {}

    def found(*settings):
        document = written({}, BASE, *settings)
        text = tomli_w.dumps(document)
        if text not in known:
            (folder / "study.toml").write_text(text)
            known[text] = steps_of(make_plan(load_study(folder / "study.toml")), store)
        return known[text]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
        patch.setattr("engine.plan.plan.load_gold", read_once(make_plan.__globals__["load_gold"]))
        yield found


def written(document, *settings):
    """Return a document with all settings made, in turn."""
    document = deepcopy(document)
    for path, value in ((path, value) for some in settings for path, value in some.items()):
        *sections, name = path.split(".")
        place = document
        for section in sections:
            place = place.setdefault(section, {})
        if value is None:
            place.pop(name, None)
        else:
            place[name] = deepcopy(value)
    return document


def steps_of(plan, store):
    for rows in plan.inputs():
        rows.publish(store)
    for view in plan.views:
        for slot in view.pool.slots:
            commit_rows(store, view.pool, slot, completions(view.pool, slot))
        judge(store, view)
    now = survey(plan, store)
    assert not now.waiting
    assert not now.given_up
    return {
        "topics": {pool.fingerprint for pool in plan.topic_pools},
        "pool": {view.pool.fingerprint for view in plan.views},
        "view": {view.fingerprint for view in plan.views},
        "set": {ready.rows.content for ready in now.ready},
        "run": {run.fingerprint for ready in now.ready for run in ready.runs},
        "baseline": {pool.fingerprint for pool in plan.baselines},
        "diagnosis": {one.fingerprint for one in now.examinations},
    }


def completions(pool, slot):
    """Return rows of a slot that no other pool or slot has, from one word to eight."""
    rows = []
    for index in range(16):
        own = f"{pool.fingerprint[:9]}/{slot}/{index}"
        text = " ".join([*["very"] * (3 * index % 8), own])
        label = list(pool.task.labels)[index % 2]
        rows.append(f"Review: {text}\nVerdict: {label}" if slot == NONE else text)
    return rows
