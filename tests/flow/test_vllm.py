"""The engine ``vllm``: vLLM itself, float32, on the CPU, in processes of its own."""

import importlib.util
import json
import os
import re
import shutil
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest
from breaking_engines import notes
from vllm_alone import answers as answers_alone

from engine.errors import ConfigError, EngineLostError, ModelError
from engine.generate.events import Lost, Made, Started
from engine.generate.generation import Generation, generate
from engine.models import embedded_folder
from engine.plan.plan import make_plan
from engine.steps.pool import Want
from engine.store.segments import grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources
from jobs.bench.generate_rivals import elsewhere

if importlib.util.find_spec("vllm") is None:  # importing it would start it, in this process
    pytest.skip("vLLM is not installed: see the README", allow_module_level=True)

pytestmark = pytest.mark.vllm

STUDY = """
name = "demo"
task = "demo-reviews"
[generate]
engine = "vllm"
model = "textmill-demo"
max_tokens = 60
engine_args = {dtype = "float32"}
[mix]
quantity = 12
"""
LONG = "a thing that " + "is long and " * 200


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The embedded model as one that may be asked anything."""
    folder = tmp_path_factory.mktemp("asked") / "model"
    shutil.copytree(embedded_folder(), folder)
    (folder / "textmill.json").unlink()
    return folder


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Plan a pool; return it with the store that has what it reads."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY)

    def plan(store, **settings):
        overrides = [f"generate.{name}={toml(value)}" for name, value in settings.items()]
        made = make_plan(load_study(folder / "study.toml", overrides))
        for rows in made.inputs():
            rows.publish(store)
        return made.pools[0]

    return plan


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def float32(**args):
    return {"dtype": "float32", **args}


def wanted(pools, count):
    return [Want(pool, one) for pool in pools for slot in pool.slots for one in grid(slot, count)]


def events_of(wants, store, where, heed=lambda events: None):
    """Make segments; return all that is heard meanwhile, and show it to ``heed`` as it comes."""
    heard = []
    with Generation([want.pool for want in wants], store, where) as generation:
        generation.want(wants)
        while generation.is_waiting:
            heard += generation.hear(1.0)
            heed(heard)
            generation.finish([])
    return heard


def of_kind(kind, events):
    return [event for event in events if isinstance(event, kind)]


def rows_of(pool, store):
    """Return a pool's rows by slot and index; each is there once."""
    rows = [
        row
        for segments in pool.segments(store).values()
        for segment in segments
        for row in store.table(f"{pool.folder}/{segment.name}").table.to_pylist()
    ]
    found = {(row["slot"], row["index"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def assert_whole(pools, store, count):
    for pool in pools:
        rows = rows_of(pool, store)
        assert set(rows) == {(slot, index) for slot in pool.slots for index in range(count)}
        assert all(row["error"] is None for row in rows.values())


def test_greedy_answers_are_those_of_transformers(planned, model, store):
    asked = {"zero_shot": 16, "noted_vllm:SameTopic": 32, "noted_vllm:SameFewShot": 32}
    pools = {
        (strategy, engine): planned(
            store,
            engine=engine,
            strategy=strategy,
            model=model,
            temperature=0,
            max_tokens=40,
        )
        for strategy in asked
        for engine in ("vllm", "transformers")
    }
    wants = [want for key, pool in pools.items() for want in wanted([pool], asked[key[0]])]
    generate(wants, store, Resources(), lambda _: None)
    pairs = []
    for strategy in asked:
        ours, theirs = (rows_of(pools[strategy, one], store) for one in ("vllm", "transformers"))
        assert ours.keys() == theirs.keys()
        pairs += [(ours[key], theirs[key]) for key in ours]
    assert all(one["prompt"] == other["prompt"] for one, other in pairs)
    assert all(one["prompt_tokens"] == other["prompt_tokens"] for one, other in pairs)
    assert len(pairs) == 240
    assert len({one["prompt"] for one, _ in pairs}) > 150
    equal = [(one, other) for one, other in pairs if one["completion"] == other["completion"]]
    assert len(equal) >= 0.98 * len(pairs)
    for name in ("finish_reason", "completion_tokens"):
        assert [one[name] for one, _ in equal] == [other[name] for _, other in equal]
    means = [[one["mean_logprob"] for one in side] for side in zip(*equal, strict=True)]
    assert means[0] == pytest.approx(means[1], abs=1e-3)


SAMPLED_ARGS = float32(
    max_model_len=512,
    # the toy, unused to JSON, would fill it with white space to the end
    structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
)
RECIPES = {
    "plain": {"strategy": "topic"},
    "greedy": {"temperature": 0},
    "short": {"max_tokens": 5},
    "stopped": {"temperature": 0, "stop": ["e"]},
    "long": {"min_tokens": 50},
    "too_long": {"strategy": "topic", "topics": ["kettle", LONG]},
    "choice": {"structured": {"choice": ["yes", "no", "perhaps"]}},
    "regex": {"structured": {"regex": "[A-Z][a-z]{2,8} [0-9]{2}"}},
    "json": {
        "structured": {
            "json_schema": {
                "type": "object",
                "properties": {"stars": {"enum": [1, 2, 3]}, "is_new": {"type": "boolean"}},
                "required": ["stars", "is_new"],
                "additionalProperties": False,
            }
        }
    },
}


@pytest.fixture(scope="module")
def sampled(planned, model, tmp_path_factory):
    """Make some rows of each recipe; return the recipes' rows."""

    def sample(where, *names):
        store = Store.open(str(tmp_path_factory.mktemp("sampled") / "root"))
        pools = {
            name: planned(store, model=model, engine_args=SAMPLED_ARGS, **RECIPES[name])
            for name in names
        }
        generate(wanted(pools.values(), 32), store, where, lambda _: None)
        return {name: rows_of(pool, store) for name, pool in pools.items()}

    return sample


@pytest.fixture(scope="module")
def at_once(sampled):
    """All recipes, in calls of many rows each."""
    return sampled(Resources(), *RECIPES)


def answers(rows):
    return {(row["slot"], row["completion"]) for row in rows.values()}


def texts(rows):
    return [row["completion"] for row in rows.values()]


def test_rows_are_the_same_whatever_else_is_in_a_batch(sampled, at_once):
    alone = sampled(Resources(rows_per_call=16, max_num_seqs=7, calls_in_flight=2), "plain")
    ours, theirs = at_once["plain"], alone["plain"]
    exact = [{**row, "mean_logprob": None} for row in ours.values()]
    assert exact == [{**theirs[key], "mean_logprob": None} for key in ours]
    means = [[rows[key]["mean_logprob"] for key in ours] for rows in (ours, theirs)]
    assert means[0] == pytest.approx(means[1], abs=1e-5)


def test_sampled_answers_are_those_of_vllm_s_own_loop(planned, model, at_once, store):
    pool = planned(store, model=model, engine_args=SAMPLED_ARGS, **RECIPES["plain"])
    rows = at_once["plain"]
    prompts = [
        (row["prompt"], pool.row(*key).draws("sampling").seed()) for key, row in rows.items()
    ]
    alone = elsewhere(answers_alone, str(model), pool.config, prompts)
    ours = [(row["completion"], row["mean_logprob"]) for row in rows.values()]
    assert [text for text, _ in ours] == [text for text, _ in alone]
    assert [mean for _, mean in ours] == pytest.approx([mean for _, mean in alone], abs=1e-5)


def test_each_row_of_a_label_is_drawn_for_itself(at_once):
    assert len(set(texts(at_once["plain"]))) > 0.9 * len(at_once["plain"])
    assert len(set(texts(at_once["greedy"]))) == 3  # one prompt for each label


def test_an_answer_is_cut_at_its_longest(at_once):
    rows = at_once["short"].values()
    assert {row["finish_reason"] for row in rows} == {"length"}
    assert {row["completion_tokens"] for row in rows} == {5}
    assert "stop" in {row["finish_reason"] for row in at_once["plain"].values()}


def test_an_answer_ends_before_a_stop_text(at_once):
    whole = texts(at_once["greedy"])
    assert all("e" in text for text in whole)
    assert texts(at_once["stopped"]) == [text.partition("e")[0] for text in whole]
    assert {row["finish_reason"] for row in at_once["stopped"].values()} == {"stop"}


def test_an_answer_has_its_shortest_length(at_once):
    assert min(row["completion_tokens"] for row in at_once["long"].values()) >= 50
    assert min(row["completion_tokens"] for row in at_once["plain"].values()) < 50


def test_a_prompt_beyond_the_context_is_refused_alone(at_once):
    rows = at_once["too_long"].values()
    is_long = [LONG.strip() in row["prompt"] for row in rows]
    assert 0 < sum(is_long) < len(is_long)
    assert [row["error"] is not None for row in rows] == is_long
    said = {row["error"] for row in rows} - {None}
    assert all(
        re.fullmatch(r"its prompt has \d{3,} tokens; the model takes 512", one) for one in said
    )
    assert all(row["completion"] for row in rows if row["error"] is None)


def test_a_choice_holds(at_once):
    assert set(texts(at_once["choice"])) <= {"yes", "no", "perhaps"}
    assert len(set(texts(at_once["choice"]))) > 1


def test_a_regular_expression_holds(at_once):
    assert all(re.fullmatch("[A-Z][a-z]{2,8} [0-9]{2}", one) for one in texts(at_once["regex"]))


def test_a_json_schema_holds(at_once):
    ended = [row for row in at_once["json"].values() if row["finish_reason"] == "stop"]
    assert ended
    for row in ended:
        written = json.loads(row["completion"])
        assert written.keys() == {"stars", "is_new"}
        assert written["stars"] in (1, 2, 3)
        assert isinstance(written["is_new"], bool)


def save_adapter(folder):
    """Save a LoRA adapter of random weights for the embedded model, as PEFT writes it."""
    import torch
    from safetensors.torch import save_file

    shape = json.loads((embedded_folder() / "config.json").read_text())
    width, rank = shape["hidden_size"], 8
    torch.manual_seed(0)
    weights = {}
    for layer in range(shape["num_hidden_layers"]):
        for name in ("q_proj", "v_proj"):
            place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            weights[f"{place}.lora_A.weight"] = torch.randn(rank, width) * 0.2
            weights[f"{place}.lora_B.weight"] = torch.randn(width, rank) * 0.2
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "textmill-demo",
        "r": rank,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj", "v_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.long
def test_pools_with_and_without_an_adapter_share_an_engine(planned, store, tmp_path, at_once):
    adapter = save_adapter(tmp_path / "adapter")
    plain = planned(store, temperature=0)
    adapted = planned(store, temperature=0, adapter=adapter)
    assert "adapter" not in plain.inputs
    assert adapted.inputs["adapter"] == adapted.adapter.identity
    events = events_of(wanted([plain, adapted], 16), store, Resources())
    assert len(of_kind(Started, events)) == 1
    assert_whole([plain, adapted], store, 16)
    ours, theirs = rows_of(plain, store), rows_of(adapted, store)
    assert all(ours[key]["prompt"] == theirs[key]["prompt"] for key in ours)
    assert all(ours[key]["completion"] != theirs[key]["completion"] for key in ours)
    # and those without are what they are when no adapter is about
    assert answers(ours) == answers(at_once["greedy"])


def test_an_adapter_that_is_not_there_is_found_when_a_study_is_planned(planned, store, tmp_path):
    with pytest.raises(ModelError, match=r"generate\.adapter is .*no adapter_config\.json"):
        planned(store, adapter=tmp_path / "nowhere")


@pytest.mark.long
def test_two_replicas_share_the_rows(planned, store, tmp_path):
    pool = planned(store, engine="noted_vllm:InPairs", engine_args=float32(notes=tmp_path))
    where = Resources(replicas=2, rows_per_call=16, calls_in_flight=2)
    events = events_of(wanted([pool], 128), store, where)
    assert len({event.replica for event in of_kind(Started, events)}) == 2
    made = of_kind(Made, events)
    assert len({event.replica for event in made}) == 2
    assert len({event.part for event in made}) == len(made) == len(wanted([pool], 128))
    assert_whole([pool], store, 128)


@pytest.mark.long
def test_two_models_are_asked_one_after_another(planned, store, tmp_path, tiny_llm):
    small = float32(max_model_len=290, notes=tmp_path)
    pools = [
        planned(store, engine="noted_vllm:Noted", engine_args=float32(notes=tmp_path)),
        planned(store, engine="noted_vllm:Noted", model=tiny_llm, engine_args=small),
    ]
    events = events_of(wanted(pools, 16), store, Resources(engine_cpus=1))
    groups = [event.group for event in events]
    assert groups == sorted(groups, key=groups.index)
    assert len(set(groups)) == len(of_kind(Started, events)) == 2
    assert len(notes(tmp_path / "starts")) == 2
    assert notes(tmp_path / "met") == []
    assert_whole(pools, store, 16)


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/proc/driver/nvidia/version").exists(), reason="there is no GPU")
def test_a_gpu_is_given_back_before_the_next_model_takes_most_of_it(planned, store, tiny_llm):
    pools = [
        planned(store, engine_args=float32()),
        planned(store, model=tiny_llm, engine_args=float32(max_model_len=290)),
    ]
    where = Resources(engine_gpus=1.0, memory_share=0.8)
    events = events_of(wanted(pools, 16), store, where)
    assert of_kind(Lost, events) == []
    assert_whole(pools, store, 16)


def killing(find, store, pool, before):
    """Return what kills a process once, when some segments are there, and notes their bytes."""

    def heed(heard):
        made = of_kind(Made, heard)
        if made and not before:
            before.update(
                {
                    path: path.read_bytes()
                    for event in made
                    for path in [Path(store.root) / pool.folder / event.part.segment.name]
                }
            )
            os.kill(find(), signal.SIGKILL)

    return heed


def assert_nothing_lost_nor_doubled(events, pool, store, before, count):
    assert {path: path.read_bytes() for path in before} == before
    assert len(before) < len(wanted([pool], count))
    told = Counter(event.part for event in of_kind(Made, events) if not event.was_there)
    assert set(told.values()) == {1}
    assert_whole([pool], store, count)


@pytest.mark.long
def test_an_engine_s_process_that_is_killed_is_replaced(planned, store, tmp_path):
    pool = planned(store, engine="noted_vllm:Noted", engine_args=float32(notes=tmp_path))
    before = {}
    kill = killing(lambda: int(notes(tmp_path / "starts")[0]), store, pool, before)
    where = Resources(rows_per_call=16, calls_in_flight=2)
    events = events_of(wanted([pool], 256), store, where, kill)
    (lost,) = of_kind(Lost, events)
    assert "killed" in lost.cause
    assert len(of_kind(Started, events)) == 2
    assert_nothing_lost_nor_doubled(events, pool, store, before, 256)


def core_of(pid):
    """Return the process of vLLM's engine core that a process has started."""
    children = psutil.Process(int(pid)).children(recursive=True)
    (core,) = [child.pid for child in children if "VLLM::Engine" in child.name()]
    return core


@pytest.mark.long
def test_an_engine_whose_core_is_killed_is_replaced(planned, store, tmp_path):
    engine = "noted_vllm:InProcessesOfItsOwn"
    pool = planned(store, engine=engine, engine_args=float32(notes=tmp_path))
    before = {}
    kill = killing(lambda: core_of(notes(tmp_path / "starts")[0]), store, pool, before)
    where = Resources(rows_per_call=16, calls_in_flight=2)
    events = events_of(wanted([pool], 128), store, where, kill)
    (lost,) = of_kind(Lost, events)
    assert "vLLM's engine died: its process was killed" in lost.cause
    assert len(of_kind(Started, events)) == 2
    assert_nothing_lost_nor_doubled(events, pool, store, before, 128)


@pytest.mark.long
def test_a_start_that_cannot_succeed_is_given_up_with_cause_and_remedy(planned, store):
    pool = planned(store, engine_args=float32(kv_cache_memory_bytes=1000))
    with pytest.raises(EngineLostError, match=r"did not start: .*memory.*max_model_len") as caught:
        generate(wanted([pool], 16), store, Resources(), lambda _: None)
    assert "resources.memory_share" in str(caught.value)


def test_a_baseline_s_answers_are_held_to_the_labels(store, tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    plan = make_plan(load_study(tmp_path / "study.toml", ["baseline.shots=[2]"]))
    for rows in plan.inputs():
        rows.publish(store)
    (pool,) = plan.baselines
    segment = pool.grid("test", 16)[0]
    events_of([Want(pool, segment)], store, Resources())
    rows = store.table(f"{pool.folder}/{segment.name}").table.to_pylist()
    assert {row["error"] for row in rows} == {None}
    assert {row["completion"] for row in rows} <= set(pool.task.labels)


def test_an_argument_that_vllm_does_not_know_is_named(planned, store):
    pool = planned(store, engine_args=float32(max_modle_len=512))
    with pytest.raises(ConfigError, match=r"generate\.engine_args: .*max_modle_len"):
        generate(wanted([pool], 16), store, Resources(), lambda _: None)


def test_what_resources_say_is_not_for_engine_args(planned, store):
    with pytest.raises(ConfigError, match=r"say resources\.tensor_parallel"):
        planned(store, engine_args=float32(tensor_parallel_size=2))
