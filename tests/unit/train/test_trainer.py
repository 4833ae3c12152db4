"""What holds for every trainer, through the worker that runs it."""

from pathlib import Path

import pyarrow as pa
import pytest

from engine.errors import PluginError
from engine.findings.findings import condition_scores
from engine.pipeline import write_results
from engine.plan.plan import make_plan
from engine.report.tables import results_table
from engine.status.survey import survey
from engine.store.store import Store
from engine.study.config import TrainConfig
from engine.study.load import load_study
from engine.train.run_worker import RunWorker
from engine.train.trainer import TRAINERS, trainer_class


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def planned(toy, store, *overrides):
    """Return a study on real rows alone, which needs no generation."""
    real = ["factors.quantity=[0]", "factors.real=[20]", *overrides]
    plan = make_plan(load_study(toy / "study.toml", real))
    for rows in plan.inputs():
        rows.publish(store)
    return plan


def done(plan, store):
    """Train what is missing, with one worker."""
    runs, bench = survey(plan, store).missing(), RunWorker(store)
    for run in runs:
        bench.do(run)
    return runs


@pytest.mark.parametrize("trainer", [*sorted(TRAINERS), "user_plugins:Guess"])
def test_every_trainer_predicts_every_row_of_every_split(toy, store, trainer):
    (run,) = done(planned(toy, store, f"train.trainer={trainer}", "repeats=1"), store)
    splits = store.document(run.name)["splits"]
    assert {split: len(own["predictions"]) for split, own in splits.items()} == {
        "validation": 20,
        "test": 30,
    }
    assert set(splits["test"]["predictions"]) <= {0, 1}


@pytest.mark.parametrize("trainer", sorted(TRAINERS))
def test_trainers_read_fields_that_there_are(trainer):
    assert trainer_class(trainer).reads <= set(TrainConfig.model_fields)


def test_what_is_no_trainer_is_refused():
    with pytest.raises(PluginError, match="no trainer"):
        trainer_class("user_plugins:Slow")


def test_repeats_of_a_trainer_without_draws_are_one_run_and_have_no_interval(toy, store):
    both = 'factors.trainer=["finetune", "head"]'
    plan = planned(toy, store, both, "repeats=3")
    assert len(done(plan, store)) == 3 + 1
    found = write_results(survey(plan, store), store)
    assert (found.runs_made, found.runs, found.problems) == (4, 4, [])
    rows = [row for row in found.results if row["split"] == "test"]
    assert [(row["trainer"], row["repeat"]) for row in rows] == [
        (trainer, repeat) for trainer in ("finetune", "head") for repeat in range(3)
    ]
    assert len({row["run"] for row in rows if row["trainer"] == "head"}) == 1
    finetuned, head = (one.scores["accuracy"] for one in condition_scores(found, "test"))
    assert (finetuned.repeats, head.repeats, head.low) == (3, 1, None)
    steps = results_table(found)["steps_done"]
    assert (steps.type, set(steps.to_pylist())) == (pa.int64(), {6, None})
    report = (Path(store.root) / "studies" / "toy" / "report.md").read_text()
    assert report.count("The trainer head has no random draws") == 1


def test_a_study_of_a_trainer_without_draws_is_shown_as_one_of_one_repeat(toy, store):
    plan = planned(toy, store, "train.trainer=head", "repeats=3")
    done(plan, store)
    found = write_results(survey(plan, store), store)
    assert (found.repeats, found.runs, found.runs_made) == (1, 1, 1)
    report = (Path(store.root) / "studies" / "toy" / "report.md").read_text()
    assert "over 1 repeat; this pool" in report
    assert "steps" not in report
