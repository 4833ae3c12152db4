"""Two studies that differ in one field share exactly the steps that do not read it."""

import json
import shutil

import pytest

from engine.mix.training_set import TrainingSet, ordered_rows
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.load import load_study
from engine.tasks.order import real_order


def shared(toy, *overrides):
    """Return which kinds of steps a changed study shares with the plain one."""
    plain = make_plan(load_study(toy / "study.toml", BASE))
    changed = make_plan(load_study(toy / "study.toml", [*BASE, *overrides]))
    kinds = {}
    for kind, prints in (("pool", "pools"), ("view", "views")):
        before = {one.fingerprint for one in getattr(plain, prints)}
        after = {one.fingerprint for one in getattr(changed, prints)}
        kinds[kind] = bool(before) and before <= after
    return {kind for kind, is_shared in kinds.items() if is_shared}


BASE = [
    "generate.engine=verbatim",
    "generate.strategy=few_shot",
    "factors.quantity=[8]",
    "factors.real=[0]",
]

TOPICS = "generate.strategy=topic", "generate.topics=['tea', 'rye']"
READ_BY_POOL = [
    "generate.shots=2",
    "generate.shot_rows=30",
    "generate.strategy=zero_shot",
    "generate.engine=recorded",
]
READ_BY_VIEW = [
    "curate.min_words=3",
    "curate.max_words=50",
    'curate.filters=["duplicate"]',
]
READ_BY_NEITHER = [
    "factors.quantity=[8, 20]",
    "factors.real=[0, 5]",
    "repeats=7",
    "replicates=2",  # the first draw stays what it was
    "mix.prior={bad=1.0, good=2.0}",
    "generate.records=other.jsonl",  # verbatim reads no records
    "generate.attributes={a=['b']}",
    "train.steps=9",
    "train.learning_rate=0.5",
    "train.batch_size=2",
    "resources.replicas=2",
    "resources.fleet=2",
    "quota.attempts=9.0",
    "name=other",
]


@pytest.mark.parametrize("override", READ_BY_POOL)
def test_a_recipe_of_its_own_for_every_field_that_prompts_read(toy, override):
    assert shared(toy, override) == set()


def test_topics_count_by_what_they_are_and_only_where_they_are_asked(toy):
    (toy / "topics.txt").write_text("\ufefftea\n\n  rye\n", encoding="utf-8")

    def pool(*overrides):
        return make_plan(load_study(toy / "study.toml", [*BASE, *overrides])).pools[0].fingerprint

    listed = pool(*TOPICS)
    assert pool(TOPICS[0], "generate.topics=topics.txt") == listed
    assert pool(TOPICS[0], "generate.topics=['rye', 'tea']") != listed
    assert pool("generate.topics=topics.txt") == pool()
    task = (toy / "task.toml").read_text()
    (toy / "task.toml").write_text(task.replace("row =", 'topic = "On {topic}."\nrow ='))
    assert pool(*TOPICS) != listed
    assert pool() == pool("generate.topics=topics.txt")


@pytest.mark.parametrize("override", READ_BY_VIEW)
def test_curation_shares_the_pool(toy, override):
    assert shared(toy, override) == {"pool"}


@pytest.mark.parametrize("override", READ_BY_NEITHER)
def test_everything_else_shares_both(toy, override):
    assert shared(toy, override) == {"pool", "view"}


def test_a_filter_that_is_not_used_reads_nothing(toy):
    without = 'curate.filters=["duplicate"]'
    plain = make_plan(load_study(toy / "study.toml", [*BASE, without]))
    changed = make_plan(load_study(toy / "study.toml", [*BASE, without, "curate.min_words=9"]))
    assert plain.views[0].fingerprint == changed.views[0].fingerprint


def test_records_count_by_content_and_not_by_place(toy):
    before = make_plan(load_study(toy / "study.toml"))
    (toy / "records.jsonl").rename(toy / "moved.jsonl")
    moved = make_plan(load_study(toy / "study.toml", ["generate.records=moved.jsonl"]))
    assert [one.fingerprint for one in before.pools] == [one.fingerprint for one in moved.pools]
    with (toy / "moved.jsonl").open("a") as file:
        file.write('{"label": "good", "text": "one more"}\n')
    grown = make_plan(load_study(toy / "study.toml", ["generate.records=moved.jsonl"]))
    assert grown.pools[0].fingerprint != before.pools[0].fingerprint


def test_test_rows_count_for_views_and_not_for_pools(toy):
    before = make_plan(load_study(toy / "study.toml", BASE))
    with (toy / "test.jsonl").open("a") as file:
        file.write('{"label": "good", "text": "one more"}\n')
    after = make_plan(load_study(toy / "study.toml", BASE))
    assert before.pools[0].fingerprint == after.pools[0].fingerprint
    assert before.views[0].fingerprint != after.views[0].fingerprint


def test_wording_counts_for_pools(toy):
    before = make_plan(load_study(toy / "study.toml", BASE))
    text = (toy / "task.toml").read_text().replace("Write one", "Please write one")
    (toy / "task.toml").write_text(text)
    after = make_plan(load_study(toy / "study.toml", BASE))
    assert before.pools[0].fingerprint != after.pools[0].fingerprint


def test_wording_does_not_count_for_rows_that_nobody_asked_for(toy):
    before = make_plan(load_study(toy / "study.toml"))
    text = (toy / "task.toml").read_text().replace("Write one", "Please write one")
    (toy / "task.toml").write_text(text)
    after = make_plan(load_study(toy / "study.toml"))
    assert before.pools[0].fingerprint == after.pools[0].fingerprint


def shots_rows(toy, *overrides):
    plan = make_plan(load_study(toy / "study.toml", [*BASE, *overrides]))
    return plan.pools[0].fingerprint


def test_only_the_real_rows_that_can_be_shown_count_for_a_pool(toy):
    few = "generate.shot_rows=4"
    before, before_all = shots_rows(toy, few), shots_rows(toy)
    lines = (toy / "train.jsonl").read_text().splitlines(keepends=True)
    train = make_plan(load_study(toy / "study.toml", BASE)).gold["toy"]["train"].table
    last = train["text"].to_pylist()[real_order(train, 0)[-1]]
    (toy / "train.jsonl").write_text("".join(line for line in lines if last not in line))
    assert shots_rows(toy, few) == before
    assert shots_rows(toy) != before_all


def run_prints(toy, *overrides):
    """Return the fingerprints of the runs on ten real rows."""
    real = ["factors.quantity=[0]", "factors.real=[10]", "repeats=1"]
    plan = make_plan(load_study(toy / "study.toml", [*real, *overrides]))
    train = ordered_rows(plan.gold["toy"]["train"].table, 0)
    rows = TrainingSet(train[:10], 0, 0).outline
    return {run.fingerprint for cell in plan.cells for run in plan.runs(cell, cell.mix, rows)}


FINE_TUNING = [
    "train.steps=7",
    "train.batch_size=9",
    "train.learning_rate=1e-4",
    "train.weight_decay=0.5",
    "train.warmup=0.5",
    "train.max_grad_norm=2.0",
    "train.precision=bfloat16",
]


@pytest.mark.parametrize("override", [*FINE_TUNING, "train.max_length=32"])
def test_every_field_that_fine_tuning_reads_counts_for_its_runs(toy, override):
    assert not run_prints(toy) & run_prints(toy, override)


HEAD = "train.trainer=head"


@pytest.mark.parametrize("override", ["train.inverse_regularisation=2.0", "train.max_length=32"])
def test_what_a_head_reads_counts_for_its_runs(toy, override):
    assert not run_prints(toy, HEAD) & run_prints(toy, HEAD, override)


@pytest.mark.parametrize("override", [*FINE_TUNING, "repeats=3"])
def test_what_a_head_does_not_read_does_not_count_for_its_runs(toy, override):
    assert run_prints(toy, HEAD) == run_prints(toy, HEAD, override)
    assert len(run_prints(toy, HEAD, override)) == 1


def test_another_trainer_is_another_run(toy):
    assert not run_prints(toy) & run_prints(toy, HEAD)


@pytest.mark.parametrize(
    "override",
    [
        "resources.fleet=2",
        "resources.fleet_cpus=0.5",
        "quota.attempts=9.0",
        "curate.min_words=9",
        "train.inverse_regularisation=2.0",
    ],
)
def test_what_training_does_not_read_does_not_count_for_runs(toy, override):
    assert run_prints(toy) == run_prints(toy, override)


def test_each_repeat_is_a_run_of_its_own(toy):
    assert run_prints(toy) < run_prints(toy, "repeats=3")
    assert len(run_prints(toy, "repeats=3")) == 3


def test_the_rows_that_are_scored_count_for_runs(toy):
    before = run_prints(toy)
    with (toy / "test.jsonl").open("a") as file:
        file.write('{"label": "good", "text": "one more"}\n')
    assert not before & run_prints(toy)


ASKED = ["factors.quantity=[8]", "factors.real=[0]", "generate.engine=transformers"]


def test_a_generator_counts_by_content_and_every_setting_that_it_reads(toy, tiny_llm):
    copy = shutil.copytree(tiny_llm, toy / "copy")

    def pool(model, *overrides):
        asked = [*ASKED, f"generate.model={model}", *overrides]
        return make_plan(load_study(toy / "study.toml", asked)).pools[0].fingerprint

    plain = pool(tiny_llm)
    assert pool(copy) == plain
    for override in ("temperature=0.5", "top_p=0.5", "top_k=5", "max_tokens=7", 'stop=["x"]'):
        assert pool(tiny_llm, f"generate.{override}") != plain
    assert pool(tiny_llm, 'generate.engine_args={dtype="float32"}') != plain
    assert pool(tiny_llm, "resources.max_num_seqs=3", "resources.engine_cpus=1.0") == plain
    (copy / "modeling_own.py").write_text("code = 1")
    assert pool(copy) != plain
    (copy / "modeling_own.py").unlink()
    settings = json.loads((copy / "generation_config.json").read_text())
    (copy / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": 5}))
    assert pool(copy) != plain


def test_an_epochs_arm_that_comes_to_the_same_steps_is_the_same_run(toy):
    base = ["factors.quantity=[0]", "factors.real=[16]", "train.batch_size=8"]
    store = Store.open(str(toy / "root"))

    def runs(*overrides):
        plan = make_plan(load_study(toy / "study.toml", [*base, *overrides]))
        return [run.fingerprint for ready in survey(plan, store).ready for run in ready.runs]

    assert runs("train.epochs=3") == runs("train.steps=6")
    assert runs("train.epochs=4") != runs("train.steps=6")


def test_tasks_of_one_study_have_steps_of_their_own_and_share_them_with_studies_of_one(toy):
    other = (toy / "task.toml").read_text().replace('name = "toy"', 'name = "other"')
    (toy / "other.toml").write_text(other)
    study = [*BASE, "factors.real=[0, 5]"]
    both = make_plan(load_study(toy / "study.toml", [*study, "task=['task.toml', 'other.toml']"]))
    alone = make_plan(load_study(toy / "study.toml", study))
    assert [pool.task.name for pool in both.pools] == ["toy", "other"]
    assert both.pools[0].fingerprint == alone.pools[0].fingerprint
    assert len({view.fingerprint for view in both.views}) == 2
    assert len(both.cells) == 2 * len(alone.cells)
