"""Whatever a study file says, of whatever types: it is planned, or refused in words."""

import pytest
import tomli_w
from cheap_plans import read_once, write_model
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis_budget import examples
from random_studies import annotation_of, fields_of, tables, values
from toy_study import TASK, toy_rows, write_jsonl

from engine import api
from engine.errors import ConfigError, InputError
from engine.fingerprint import canonical
from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.study import Study
from jobs.terminal import plan as show_plan

FIELDS = sorted(fields_of(Study))
SECTIONS = sorted(Study.model_fields)
BASES = {  # so that every kind of field counts in one of them
    "recorded": {"generate": {"engine": "recorded", "records": "records.jsonl"}},
    "template": {
        "generate": {
            "engine": "verbatim",
            "strategy": "template",
            "templates": {"bad": ["a {thing}"], "good": ["no {thing}"]},
            "attributes": {"thing": ["tea", "rye"]},
        }
    },
    "shots": {"generate": {"engine": "transformers", "model": "./llm", "strategy": "few_shot"}},
    "topics": {
        "generate": {"engine": "vllm", "model": "./llm", "strategy": "topic", "topics": ["a"]},
        "baseline": {"shots": [0, 2]},
    },
    "grid": {
        "generate": {"engine": "verbatim"},
        "train": {"model": "./encoder", "trainer": "head"},
        "diagnose": {"model": "./encoder"},
        "factors": {"quantity": [0, 8], "real": [4], "strategy": ["zero_shot", "few_shot"]},
    },
}
COUNTED = ("replicates", "mix.quantity")  # what a plan lists, one by one
MANY = 30


def study(base, *settings):
    document = {"name": "toy", "task": "task.toml", "mix": {"quantity": 8}}
    document |= {"train": {"model": "./encoder"}, "replicates": 1, **BASES[base]}
    for path, value in settings:
        section, _, field = path.partition(".")
        document[section] = {**document.get(section, {}), field: value} if field else value
    return document


def few(document):
    """Return a document that asks for no more than a plan can list in a moment."""
    document = {name: dict(own) if isinstance(own, dict) else own for name, own in document.items()}
    for path in COUNTED:
        section, _, field = path.rpartition(".")
        place = document.get(section, {}) if section else document
        if isinstance(place, dict) and isinstance(place.get(field), int) and place[field] > MANY:
            place[field] = MANY
    return document


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Plan a document; return its plan."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "task.toml").write_text(TASK)
    for number, name in enumerate(("train", "validation", "test", "records")):
        write_jsonl(folder / f"{name}.jsonl", toy_rows(40, start=1000 * number))
    for name in ("llm", "encoder"):
        write_model(folder / name, name)

    def plan(document):
        (folder / "study.toml").write_text(tomli_w.dumps(document), encoding="utf-8", newline="\n")
        return make_plan(load_study(folder / "study.toml"))

    plan.folder = folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.plan.plan.load_gold", read_once(make_plan.__globals__["load_gold"]))
        yield plan


def refusal(planned, document):
    """Plan a document; return why it is refused, and None if it is not."""
    try:
        planned(document)
    except InputError as error:
        return str(error)
    return None


def settings_of(path):
    return st.tuples(st.just(path), values(annotation_of(Study, path)))


flat = [path for path in FIELDS if path.count(".") < 2]


@examples(100)
@given(base=st.sampled_from(sorted(BASES)), setting=st.sampled_from(flat).flatmap(settings_of))
@example(base="topics", setting=("generate.engine_args", {"dtype": float("inf")}))
@example(base="topics", setting=("generate.structured", {"json_schema": {"a": [float("nan")]}}))
@example(base="recorded", setting=("generate.records", "~nobody-of-that-name/rows.jsonl"))
@example(base="recorded", setting=("task", ["~nobody-of-that-name/task.toml"]))
@example(base="recorded", setting=("task", ["a\x00.toml"]))
@example(base="recorded", setting=("published", "a\x00.toml"))
@example(base="recorded", setting=("train.model", "./" + "a" * 300))
@example(base="recorded", setting=("splits", {"test": {"hub": "", "split": "test"}}))
@example(base="recorded", setting=("curate.filters", [".a:b"]))
@example(base="recorded", setting=("mix.quantity", 10**9))
def test_a_study_that_says_anything_of_one_field_is_planned_or_refused(planned, base, setting):
    path, value = setting
    document = study(base, setting)
    said = refusal(planned, document if value == 10**9 else few(document))
    if said and said.startswith("study.toml: "):
        assert path.partition(".")[0] in said or path.rpartition(".")[2] in said


@examples(40)
@given(base=st.sampled_from(sorted(BASES)), more=tables(Study, 3))
def test_a_study_that_says_anything_is_planned_or_refused(planned, base, more):
    said = refusal(planned, few(study(base, *more.items())))
    names = [part for path in FIELDS for part in (path, path.rpartition(".")[2])]
    assert said is None or any(name in said for name in [*names, *SECTIONS, "factor", "file"])


@pytest.mark.parametrize("path", flat)
def test_a_value_of_no_type_that_a_field_has_is_refused_with_its_name(planned, path):
    wrong = ["odd"] if path == "exclude" else [[{"odd": True}]]
    with pytest.raises(ConfigError, match=path.replace(".", r"\.")):
        planned(study("recorded", (path, wrong)))


def shuffled(document, chance):
    """Return a document whose tables have their keys in another order."""
    if not isinstance(document, dict):
        return document
    names = list(document)
    chance.shuffle(names)
    return {name: shuffled(document[name], chance) for name in names}


def told(cell):
    """Return what tells a cell's training set from others."""
    mix, view = cell.mix, cell.mix.view
    return canonical([mix.config.model_dump(), mix.replicate, view and view.fingerprint])


@examples(12)
@given(
    base=st.sampled_from(sorted(BASES)),
    setting=st.sampled_from(flat).flatmap(settings_of),
    chance=st.randoms(use_true_random=False),
)
def test_the_order_of_keys_makes_nothing_another(planned, base, setting, chance):
    document = few(study(base, setting))
    try:
        before = planned(document)
    except InputError as error:
        with pytest.raises(type(error)):
            planned(shuffled(document, chance))
        return
    after = planned(shuffled(document, chance))
    for kind in ("pools", "views", "baselines", "topic_pools"):
        found = [{one.fingerprint for one in getattr(plan, kind)} for plan in (before, after)]
        assert found[0] == found[1]
    assert sorted(map(told, before.cells)) == sorted(map(told, after.cells))


@pytest.mark.parametrize("base", sorted(BASES))
def test_what_a_plan_says_is_the_same_each_time(planned, base):
    planned(study(base))
    path, root = planned.folder / "study.toml", str(planned.folder / "root")
    for is_json in (False, True):
        said = {
            show_plan.plan(api.Study.from_file(path, root=root).survey(), json=is_json)
            for _ in range(2)
        }
        assert len(said) == 1
    assert not list(Store.open(root).entries("pools"))
