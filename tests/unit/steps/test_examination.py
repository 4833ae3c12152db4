"""What makes a diagnosis another one, and that nothing else is made anew for it."""

import pytest

from engine.errors import ConfigError, ModelError
from engine.mix.training_set import TrainingSet, ordered_rows
from engine.plan.plan import make_plan
from engine.steps.examination import examination
from engine.study.load import load_study

BASE = ["diagnose.model=./model", "factors.quantity=[8]", "factors.real=[5]"]


def planned(toy, *overrides, rows=8):
    """Return a plan, and the file of the examination of some rows of its view."""
    plan = make_plan(load_study(toy / "study.toml", [*BASE, *overrides]))
    real = ordered_rows(plan.gold["toy"]["train"].table, 0)
    some = TrainingSet([*real[20 : 20 + rows], *real[:5]], rows, 0).outline
    (view,) = plan.views
    return plan, examination(view, plan.cells[0].mix, some, real, plan.encoder).name


def name(toy, *overrides, rows=8):
    return planned(toy, *overrides, rows=rows)[1]


def with_words(toy, words):
    task = (toy / "task.toml").read_text().partition("name = ")
    (toy / "task.toml").write_text(f"trivial_words = {words}\n{task[1]}{task[2]}")


def test_the_same_rows_and_encoder_are_the_same_diagnosis(toy):
    assert name(toy) == name(toy)
    assert name(toy).startswith("diagnoses/toy-recorded-8-")


@pytest.mark.parametrize(
    "override",
    ["diagnose.model=all-MiniLM-L6-v2", "diagnose.max_length=16", "diagnose.real=7"],
)
def test_what_it_reads_counts(toy, override):
    assert name(toy, override) != name(toy)


def test_the_synthetic_rows_count_and_those_real_rows_that_are_used(toy):
    assert name(toy, rows=9).rpartition("-")[2] != name(toy).rpartition("-")[2]
    few = "diagnose.real=7"
    before, before_all = name(toy, few), name(toy)
    lines = (toy / "train.jsonl").read_text().splitlines(keepends=True)
    plan, _ = planned(toy)
    last = ordered_rows(plan.gold["toy"]["train"].table, 0)[-1].text
    (toy / "train.jsonl").write_text("".join(line for line in lines if last not in line))
    assert name(toy, few) == before
    assert name(toy) != before_all


@pytest.mark.parametrize(
    "override",
    [
        "factors.real=[9]",
        "train.max_length=16",
        "resources.fleet=2",
        "repeats=5",
        "name=other",
        "curate.min_words=3",  # the view is another, and these rows are the same
    ],
)
def test_what_it_does_not_read_does_not_count(toy, override):
    assert name(toy, override) == name(toy)


def test_trivial_words_count_for_the_diagnosis_alone(toy):
    def prints():
        plan, found = planned(toy)
        pools, views = ([one.fingerprint for one in own] for own in (plan.pools, plan.views))
        rows = TrainingSet(ordered_rows(plan.gold["toy"]["train"].table, 0)[:13], 8, 0).outline
        runs = [run.name for cell in plan.cells for run in plan.runs(cell, cell.mix, rows)]
        return (pools, views, runs), found

    others, without = prints()
    with_words(toy, ["awful", "rude"])
    others_now, found = prints()
    assert others_now == others
    assert found != without
    with_words(toy, ["Rude", "awful", "rude"])  # the same words
    assert name(toy) == found


def test_a_study_without_the_section_has_no_encoder(toy):
    assert make_plan(load_study(toy / "study.toml")).encoder is None


def test_a_wrong_encoder_is_found_when_the_study_is_planned(toy):
    with pytest.raises(ModelError, match=r"diagnose\.model is '.*nowhere', but there is no such"):
        name(toy, "diagnose.model=./nowhere")


def test_a_wrong_key_or_value_of_the_section_is_refused(toy):
    for override in ("diagnose.modle=x", "diagnose.real=-1", "diagnose.max_length=1"):
        with pytest.raises(ConfigError, match="diagnose"):
            name(toy, override)
