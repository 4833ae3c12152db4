import pytest

from engine.errors import ConfigError
from engine.generate.engine import recipe_fields
from engine.study.config import TrainConfig, resolved_steps
from engine.study.factors import Readers, conditions
from engine.study.study import Study, StudyFile
from engine.tasks.task import load_task
from engine.tasks.toml_files import validate
from engine.train.trainer import training_fields


def grid(tmp_path, factors, task="sst2", **fields):
    document = {
        "name": "s",
        "task": task,
        "generate": {"engine": "recorded", "records": "r.jsonl"},
        "factors": factors,
        **fields,
    }
    study = validate(Study, document, "study.toml", tmp_path)
    tasks = {name: load_task(name, tmp_path) for name in study.task}
    file = StudyFile(study, tasks, tmp_path / "study.toml")
    return conditions(file, Readers(recipe_fields, training_fields))


def levels(found):
    return [dict(one.levels) for one in found]


def test_the_grid_is_the_product_of_the_factors(tmp_path):
    found = grid(tmp_path, {"quantity": [100, 200], "train.steps": [10, 20, 30]})
    assert [(one.mix.quantity, one.train.steps) for one in found] == [
        (quantity, steps) for quantity in (100, 200) for steps in (10, 20, 30)
    ]


def test_real_rows_alone_are_one_condition_whatever_the_recipe(tmp_path):
    found = grid(
        tmp_path,
        {
            "quantity": [0, 100],
            "real": [10],
            "generator": [{"name": "a", "records": "a"}, {"name": "b", "records": "b"}],
            "curate.min_words": [1, 2],
        },
    )
    alone = [one for one in found if not one.mix.quantity]
    assert len(found) == 5
    assert levels(alone) == [
        {"quantity": 0, "real": 10, "generator": None, "curate.min_words": None}
    ]
    assert alone[0].generate is None


def test_a_cell_without_any_rows_is_left_out(tmp_path):
    assert levels(grid(tmp_path, {"quantity": [0, 5], "real": [0, 5]})) == [
        {"quantity": 0, "real": 5},
        {"quantity": 5, "real": 0},
        {"quantity": 5, "real": 5},
    ]


def test_a_field_that_a_strategy_does_not_read_makes_no_double_conditions(tmp_path):
    generate = {"engine": "verbatim"}
    found = grid(
        tmp_path, {"strategy": ["zero_shot", "few_shot"], "shots": [1, 3]}, generate=generate
    )
    assert levels(found) == [
        {"strategy": "zero_shot", "shots": None},
        {"strategy": "few_shot", "shots": 1},
        {"strategy": "few_shot", "shots": 3},
    ]


def test_a_field_that_a_trainer_does_not_read_makes_no_double_conditions(tmp_path):
    factors = {
        "trainer": ["finetune", "head"],
        "learning_rate": [1e-5, 1e-4],
        "inverse_regularisation": [1.0, 9.0],
    }
    assert levels(grid(tmp_path, factors)) == [
        {"trainer": "finetune", "learning_rate": 1e-5, "inverse_regularisation": None},
        {"trainer": "finetune", "learning_rate": 1e-4, "inverse_regularisation": None},
        {"trainer": "head", "learning_rate": None, "inverse_regularisation": 1.0},
        {"trainer": "head", "learning_rate": None, "inverse_regularisation": 9.0},
    ]


def test_bundled_levels_set_their_fields_together(tmp_path):
    bundles = [
        {"name": "short", "strategy": "zero_shot", "train.steps": 10},
        {"name": "long", "strategy": "few_shot", "shots": 5, "train.steps": 20},
    ]
    found = grid(tmp_path, {"recipe": bundles}, generate={"engine": "verbatim"})
    assert [one.levels["recipe"] for one in found] == ["short", "long"]
    assert [one.generate.shots for one in found] == [3, 5]
    assert [one.train.steps for one in found] == [10, 20]


def test_excluded_cells_are_left_out(tmp_path):
    factors = {"quantity": [0, 100, 300], "real": [0, 10, 1000]}
    found = grid(tmp_path, factors, exclude=[{"real": 1000, "quantity": [100, 300]}])
    assert {(one.mix.quantity, one.mix.real) for one in found} == {
        (0, 10), (0, 1000), (100, 0), (100, 10), (300, 0), (300, 10),
    }  # fmt: skip


NAMED = [{"name": "a", "shots": 1}]


@pytest.mark.parametrize(
    ("factors", "fields", "says"),
    [
        ({"quantty": [1]}, {}, r"unknown field or factor 'quantty'\. Did you mean 'quantity'"),
        ({"train.stepz": [1]}, {}, r"unknown field 'train\.stepz'\. Did you mean 'train\.steps'"),
        ({"quantity": []}, {}, "'quantity' has no levels"),
        ({"quantity": [1, 1]}, {}, "'quantity' has the level 1 twice"),
        ({"quantity": ["many"]}, {}, "mix: quantity is 'many'"),
        ({"train.learning_rate": [-1.0]}, {}, "learning_rate is -1.0"),
        ({"quantity": {"low": 1, "high": 9}}, {}, "'quantity' is a range, which only"),
        ({"quantity": {"low": 1}}, {}, "factors.quantity.high"),
        ({"accuracy": NAMED}, {}, "'accuracy' is reserved, as the name of a result column"),
        ({"repeat": NAMED}, {}, "'repeat' is reserved"),
        ({"strategy": NAMED}, {}, "'strategy' is reserved, as the name of a field"),
        ({"recipe": [{"shots": 1}]}, {}, "every level needs a name"),
        ({"recipe": [{"name": "a"}]}, {}, "'a' sets nothing"),
        ({"recipe": [{"name": "a", "shotz": 1}]}, {}, "Did you mean 'shots'"),
        ({"recipe": NAMED, "shots": [2]}, {}, r"'recipe' and 'shots' both set generate\.shots"),
        ({"real": [1]}, {"exclude": [{"reel": 1}]}, "no factor 'reel'. Did you mean 'real'"),
        ({"real": [1]}, {"exclude": [{"real": 2}]}, "real has no level 2"),
        ({"real": [1]}, {"exclude": [{"real": 1}]}, "no condition is left"),
    ],
)
def test_a_wrong_factor_is_refused_with_its_name(tmp_path, factors, fields, says):
    with pytest.raises(ConfigError, match=says):
        grid(tmp_path, factors, **fields)


def test_every_task_has_every_cell_and_is_a_factor_if_there_are_several(tmp_path):
    found = grid(tmp_path, {"quantity": [0, 8], "real": [5]}, task=["sst2", "rte"])
    assert levels(found) == [
        {"task": task, "quantity": quantity, "real": 5}
        for task in ("sst2", "rte")
        for quantity in (0, 8)
    ]
    assert [one.task for one in found] == ["sst2", "sst2", "rte", "rte"]
    (alone,) = grid(tmp_path, {"quantity": [8]}, task=["rte"])
    assert (alone.task, alone.levels) == ("rte", {"quantity": 8})


def test_cells_can_be_left_out_by_task_also_of_one_that_the_study_lacks(tmp_path):
    factors, left_out = {"quantity": [8, 16]}, [{"task": ["rte", "boolq"], "quantity": 16}]
    found = grid(tmp_path, factors, task=["sst2", "rte"], exclude=left_out)
    assert [(one.task, one.mix.quantity) for one in found] == [
        ("sst2", 8), ("sst2", 16), ("rte", 8),
    ]  # fmt: skip
    alone = grid(tmp_path, factors, task=["sst2"], exclude=left_out)
    assert [one.mix.quantity for one in alone] == [8, 16]
    with pytest.raises(ConfigError, match=r"task has no level 'rtf'\. Did you mean 'rte'"):
        grid(tmp_path, factors, task=["sst2"], exclude=[{"task": "rtf", "quantity": 8}])


def test_labels_that_the_llm_writes_are_a_level_only_where_a_strategy_can_leave_them(tmp_path):
    generate = {"engine": "verbatim", "templates": {"negative": ["no"], "positive": ["yes"]}}
    factors = {"strategy": ["zero_shot", "template"], "labelling": ["conditioned", "left_to_right"]}
    found = levels(grid(tmp_path, factors, generate=generate))
    assert [(one["strategy"], one["labelling"]) for one in found] == [
        ("zero_shot", "conditioned"), ("zero_shot", "left_to_right"), ("template", None),
    ]  # fmt: skip


def test_epochs_become_steps_that_depend_on_the_rows():
    config = TrainConfig(epochs=3.0, batch_size=32)
    assert resolved_steps(config, 100).steps == 10  # 300 rows, in batches of 32
    assert resolved_steps(config, 1100).steps == 104
    assert resolved_steps(config, 1).steps == 1
    assert resolved_steps(config, 100).epochs is None
    plain = TrainConfig(steps=7)
    assert resolved_steps(plain, 100) is plain
