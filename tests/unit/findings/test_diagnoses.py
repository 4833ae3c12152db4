"""From the diagnoses' files to the lines of a report."""

from dataclasses import replace

import pytest

from engine.errors import DamagedError
from engine.findings.diagnoses import diagnoses
from engine.mix.training_set import TrainingSet, ordered_rows
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.steps.examination import examination
from engine.store.store import Store
from engine.study.load import load_study

BASE = ["diagnose.model=./model", "factors.quantity=[8]", "factors.real=[0]"]


@pytest.fixture
def found(toy):
    """Return the diagnoses of a study whose views' files say what they are told to."""

    def find(*overrides, fingerprint=None, real_rows=30):
        store = Store.open(str(toy / "root"))
        plan = make_plan(load_study(toy / "study.toml", [*BASE, *overrides]))
        known = []
        for place, view in enumerate(plan.views):
            rows = ordered_rows(plan.gold["toy"]["train"].table, view.pool.replicate)
            mix = plan.cells[place].mix
            one = examination(view, mix, TrainingSet(rows[:8], 8, 0).outline, rows, plan.encoder)
            body = {
                "kind": "diagnosis",
                "reads": {},
                "inputs": {},
                "fingerprint": fingerprint or one.fingerprint,
                "synthetic": {"rows": 8, "inter": 0.5, "to_real": 0.25, "trivial": place},
                "real": {"rows": real_rows, "inter": 0.75, "to_real": None, "trivial": 9},
            }
            store.commit_document(one.name, body)
            known.append(one)
        names_made = frozenset(one.name for one in known)
        now = replace(survey(plan, store), finished=names_made, examinations=known)
        names = {view.fingerprint: f"view {place}" for place, view in enumerate(plan.views)}
        return list(diagnoses(now, names))

    return find


@pytest.mark.parametrize(
    ("overrides", "method"),
    [
        (["generate.engine=recorded"], "recorded"),
        (["generate.engine=recorded", "generate.strategy=few_shot"], "recorded"),
        (["generate.engine=verbatim"], "zero_shot"),
        (["generate.engine=verbatim", "generate.strategy=one_shot"], "one_shot"),
        (["generate.engine=verbatim", "generate.strategy=few_shot"], "few_shot_3"),
        (
            ["generate.engine=verbatim", "generate.strategy=few_shot", "generate.shots=5"],
            "few_shot_5",
        ),
        (["generate.engine=user_plugins:Slow"], "zero_shot"),
    ],
)
def test_a_method_is_the_way_of_prompting_or_an_engine_that_reads_no_prompts(
    found, overrides, method
):
    view, real = found(*overrides)
    assert view == ("view 0", "toy", method, False, 0, 8, 0.5, 0.25, 0)
    assert real == ("real rows", "toy", None, False, 0, 30, 0.75, None, 9)


def test_each_replicate_has_a_line_of_real_rows_whatever_views_it_has(found):
    lines = found("replicates=2", "factors.min_words=[2, 3]")
    assert [(one.name, one.replicate) for one in lines[4:]] == [
        ("real rows, replicate 0", 0),
        ("real rows, replicate 1", 1),
    ]
    assert sorted((one.name, one.replicate) for one in lines[:4]) == [
        ("view 0", 0),
        ("view 1", 1),
        ("view 2", 0),
        ("view 3", 1),
    ]


def test_there_is_no_line_for_no_real_rows(found):
    assert [one.name for one in found(real_rows=0)] == ["view 0"]


def test_a_file_of_another_diagnosis_is_damaged(found):
    with pytest.raises(DamagedError, match="belongs to another diagnosis"):
        found(fingerprint="0" * 64)
