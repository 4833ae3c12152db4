"""Which baselines a study has, what they are asked, and what their answers score: without Ray."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from engine.errors import ConfigError
from engine.findings.baselines import baseline_results
from engine.findings.gather import gather
from engine.generate.events import SegmentRef
from engine.make.demand import Demand
from engine.make.make import prepare
from engine.make.references import write_references
from engine.plan.names import baseline_names, llm_names
from engine.plan.plan import make_plan
from engine.status.files import damaged_files, files_of
from engine.status.forecast import forecast
from engine.status.steps import rows_to_make, steps
from engine.status.survey import survey
from engine.status.wants import wants
from engine.store.schema import POOL
from engine.store.seal import seal_table
from engine.store.store import Store
from engine.study.load import load_study

LLM = ("generate.engine=user_plugins:Labelling", "factors.quantity=[8]", "factors.real=[0]")
BOTH = "baseline.shots=[0, 3]"


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, *overrides, study=LLM):
    return make_plan(load_study(toy / "study.toml", [*study, *overrides]))


def prints(plan):
    return {one.fingerprint for one in plan.baselines}


def answer(store, wants, said, error=None):
    """Commit segments in which row ``index`` of a split is answered with ``said(index)``."""
    for want in wants:
        rows = [
            {
                **dict.fromkeys(POOL.names),
                "id": str(want.pool.row(want.segment.slot, index)),
                "slot": want.segment.slot,
                "index": index,
                "completion": said(index),
                "prompt_tokens": 3,
                "error": error,
            }
            for index in range(want.segment.start, want.segment.stop)
        ]
        notes = {"rows": len(rows), "tokens": 0, "prompt_tokens": 3 * len(rows), "seconds": 1.0}
        table = pa.Table.from_pylist(rows, schema=POOL)
        store.commit(f"{want.pool.folder}/{want.segment.name}", seal_table(table, notes))


def of_baselines(plan, store):
    return [want for want in wants(survey(plan, store)) if want.pool in plan.baselines]


def test_a_study_without_the_section_has_none(toy):
    plan = planned(toy)
    assert plan.baselines == []
    assert {one.fingerprint for one in plan.pools} <= {
        one.fingerprint for one in planned(toy, BOTH).pools
    }


def test_there_is_one_for_each_number_of_shots_and_with_shots_for_each_replicate(toy):
    plan = planned(toy, BOTH, "replicates=2")
    names = baseline_names(plan.baselines)
    assert list(names.values()) == ["0 shots", "3 shots, replicate 0", "3 shots, replicate 1"]
    assert len({one.folder for one in plan.baselines}) == 3
    assert prints(planned(toy, BOTH)) < prints(plan)


def test_each_llm_of_the_recipes_is_asked_once(toy, tiny_llm, tiny_gpt2):
    both = f"factors.generate.model=['{tiny_llm}', '{tiny_gpt2}']"
    recipes = ("factors.strategy=['zero_shot', 'few_shot']", "factors.temperature=[0.5, 1.0]")
    plan = planned(toy, "generate.engine=transformers", both, *recipes, "baseline.shots=[0]")
    names = baseline_names(plan.baselines)
    assert sorted(names.values()) == sorted(
        f"{folder.name}, 0 shots" for folder in (tiny_llm, tiny_gpt2)
    )


def test_it_is_another_when_what_its_prompts_show_is_another_and_else_the_same(toy):
    def changed(*overrides):
        return prints(planned(toy, "baseline.shots=[3]", *overrides))

    before = changed()
    for same in ("factors.quantity=[40]", "generate.temperature=0.5", "generate.max_tokens=9"):
        assert changed(same) == before
    assert changed("baseline.shots=[2]").isdisjoint(before)
    task = toy / "task.toml"
    wording = task.read_text()
    task.write_text(wording.replace("Write one", "Make up one"))
    assert changed() == before  # how rows are asked for is none of its business
    task.write_text(wording.replace("liked it", "liked it a lot"))
    assert changed().isdisjoint(before)
    task.write_text(wording)
    for split in ("test", "train"):
        rows = (toy / f"{split}.jsonl").read_text()
        (toy / f"{split}.jsonl").write_text(rows.replace("the ", "my "))
        assert changed().isdisjoint(before)
        (toy / f"{split}.jsonl").write_text(rows)


def test_prompts_show_labels_examples_of_each_and_the_row_but_not_its_label(toy, store):
    plan = planned(toy, BOTH)
    prepare(plan, store)
    bare, shown = (one.strategy(store).ask(one.row("test", 4)) for one in plan.baselines)
    asked = plan.gold["toy"]["test"].table.slice(4, 1).to_pylist()[0]
    for prompt in (bare, shown):
        assert f"Review: {asked['text']}\n" in prompt.text
        assert "- good: the visitor liked it\n" in prompt.text
        assert prompt.text.endswith("Answer with the label alone, one of: bad, good.")
        assert prompt.attributes["row"] == asked["id"]
    assert bare.text.count("Review: ") == 1
    assert "Label: " not in bare.text
    assert shown.text.count("Review: ") == 4
    assert {line for line in shown.text.splitlines() if line.startswith("Label: ")} == {
        "Label: bad",
        "Label: good",
    }
    train = {row["id"] for row in plan.gold["toy"]["train"].table.to_pylist()}
    assert set(shown.attributes["shots"]) <= train


def test_all_rows_of_a_replicate_see_the_same_examples_first(toy, store):
    plan = planned(toy, "baseline.shots=[3]", "replicates=2")
    prepare(plan, store)
    heads = []
    for one in plan.baselines:
        asks = one.strategy(store)
        rows = [one.row(split, index) for split in one.slots for index in (0, 7)]
        heads.append({asks.ask(row).text.partition("The text to label:")[0] for row in rows})
    assert [len(head) for head in heads] == [1, 1]
    assert heads[0] != heads[1]


def test_every_scored_row_is_wanted_once_and_none_beyond(toy, store):
    plan = planned(toy, BOTH)
    demand = Demand(survey(plan, store), store)
    found = [want for want in demand.wants() if want.pool in plan.baselines]
    assert sum(want.rows for want in found) == 2 * (20 + 30)
    assert max(want.segment.stop for want in found if want.segment.slot == "test") == 30
    assert of_baselines(plan, store) == found
    answer(store, found, lambda index: "good")
    assert of_baselines(plan, store) == []


def test_a_demand_is_not_settled_before_its_baselines_are_there_or_given_up(toy, store):
    plan = planned(toy, "baseline.shots=[0]", "baseline.engine=user_plugins:Labelling", study=())
    demand = Demand(survey(plan, store), store)
    demand.stop(pool.fingerprint for pool in plan.pools if pool not in plan.baselines)
    first, *others = demand.wants()
    assert demand.open_pools == plan.baselines
    answer(store, [first], lambda index: "good")
    demand.arrived(SegmentRef(first.pool.fingerprint, first.segment))
    assert not demand.is_settled
    assert demand.awaited_rows == 50 - 16
    demand.withdrawn(others)
    assert demand.wants() == others
    demand.stop([plan.baselines[0].fingerprint])
    assert demand.is_settled
    assert demand.wants() == []


def test_scores_are_those_of_the_answers_and_what_names_no_label_is_wrong(toy, store):
    plan = planned(toy, "baseline.shots=[0]")
    gold = plan.gold["toy"]["test"].table["label"].to_pylist()
    some = [want for want in of_baselines(plan, store) if want.segment.slot == "test"]
    answer(store, some[:1], lambda index: gold[index])
    assert baseline_results(plan.baselines, plan.gold, store) == []
    answer(store, some[1:], lambda index: "?" if index >= 24 else gold[index])
    (row,) = baseline_results(plan.baselines, plan.gold, store)
    assert (row["split"], row["rows"], row["unanswered"]) == ("test", 30, 6)
    assert row["accuracy"] == pytest.approx(24 / 30)
    # of each label 12 of 15 are found, and nothing else is taken for it
    assert row["macro_f1"] == pytest.approx(2 * 12 / (2 * 12 + 3))
    assert row["prompt_tokens"] == 90
    assert (row["shots"], row["replicate"]) == (0, None)


def test_rows_that_cannot_be_answered_are_told_of(toy, store):
    plan = planned(toy, "baseline.shots=[0]")
    prepare(plan, store)
    answer(store, of_baselines(plan, store), lambda index: "", error="the prompt is too long")
    found = gather(survey(plan, store), {}, [])
    assert [row["errors"] for row in found.baselines] == [20, 30]
    said = "30 of 30 test rows, which count as wrong; the first: the prompt is too long"
    assert any(problem.endswith(said) for problem in found.problems)


def test_plan_forecast_references_and_checks_know_of_them(toy, store):
    plan = planned(toy, BOTH)
    own = [step for step in steps(survey(plan, store)) if step.kind == "baseline"]
    assert [step.to_make for step in own] == [50, 50]
    without = planned(toy)
    more = rows_to_make(steps(survey(plan, store))) - rows_to_make(steps(survey(without, store)))
    assert more == 100
    assert forecast(survey(plan, store)).rows == forecast(survey(without, store)).rows + 100
    assert "the LLM itself, 3 shots" in forecast(survey(plan, store)).unknown
    answer(store, of_baselines(plan, store), lambda index: "good")
    states = [step.state for step in steps(survey(plan, store)) if step.kind == "baseline"]
    assert states == ["made", "made"]
    write_references(survey(plan, store), store)
    kept = store.document("studies/toy/references.json")["kept"]
    assert {one.folder for one in plan.baselines} <= set(kept)
    path = next((Path(store.root) / plan.baselines[0].folder / "rows").iterdir())
    path.write_bytes(path.read_bytes()[:-9])
    found = [one.name for one in damaged_files(files_of(plan, store), store)]
    rows = [name for name in found if "/rows/" in name]  # there are no recipes beside them
    assert rows == [str(path.relative_to(store.root))]


def test_a_study_that_asks_no_llm_must_name_one(toy, tiny_llm):
    with pytest.raises(ConfigError, match=r"\[baseline\] asks the LLM .* engine and model in"):
        planned(toy, BOTH, study=())
    named = (f"baseline.model={tiny_llm}", "baseline.revision=main")
    (one,) = planned(toy, "baseline.shots=[0]", *named, study=()).baselines
    assert one.config.engine == "transformers"
    with pytest.raises(ConfigError, match="'verbatim', which asks no LLM"):
        planned(toy, BOTH, "baseline.engine=verbatim", study=())
    with pytest.raises(ConfigError, match=r"\[baseline\]: generate.model"):
        planned(toy, BOTH, "baseline.model=./nowhere", study=())


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("baseline.shots=[1, 1]", "twice"),
        ("baseline.shots=[]", "baseline.shots"),
        ("baseline.shots=[-1]", "baseline.shots"),
        ("baseline.shots=[41]", "train split has only 40 rows"),
        ("baseline.temperature=1.0", "unknown key 'baseline.temperature'"),
    ],
)
def test_a_wrong_section_is_refused(toy, override, says):
    with pytest.raises(ConfigError, match=says):
        planned(toy, override)


def test_answers_are_held_to_the_labels_where_the_engine_can(toy):
    served = ("generate.engine=openai", "generate.model=served", "baseline.shots=[0]")
    (held,) = planned(toy, *served).baselines
    assert held.config.structured.choice == ["bad", "good"]
    assert held.config.temperature == 0
    (free,) = planned(toy, *served, "baseline.constrained=false").baselines
    assert free.config.structured is None
    assert free.fingerprint != held.fingerprint


def test_models_in_folders_of_one_name_are_told_apart(toy, tiny_llm, tmp_path):
    folders = [tmp_path / name / "checkpoint" for name in "abc"]
    for folder in folders:
        shutil.copytree(tiny_llm, folder)
    config = json.loads((folders[1] / "config.json").read_text())
    (folders[1] / "config.json").write_text(json.dumps({**config, "rope_theta": 5000.0}))
    levels = json.dumps([str(folder) for folder in folders])
    asked = ("generate.engine=transformers", f"factors.generate.model={levels}")
    names = llm_names(planned(toy, *asked, "baseline.shots=[0]").baselines)
    assert len(names) == len(set(names.values())) == 2  # two of the three are one model
    assert all(name.startswith("checkpoint ") for name in names.values())


def test_what_the_section_names_replaces_what_the_recipes_have(toy, tiny_llm):
    own = ("generate.engine_args={dtype='float32'}", f"generate.model={tiny_llm}")
    asked = ("generate.engine=transformers", *own, "baseline.shots=[0]")
    (same,) = planned(toy, *asked).baselines
    assert same.config.engine_args == {"dtype": "float32"}
    (other,) = planned(toy, *asked, "baseline.engine=user_plugins:Labelling").baselines
    assert (other.config.engine, other.config.engine_args) == ("user_plugins:Labelling", {})
