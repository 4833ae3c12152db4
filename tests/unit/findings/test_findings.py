import pyarrow as pa
import pytest

from engine.findings.findings import Findings, TaskFacts, condition_scores
from engine.report.tables import results_table


def result(accuracy, repeat, replicate=0, run=None, **levels):
    plain = {
        "task": "t", "quantity": 10, "real": 0, "repeat": repeat, "replicate": replicate,
        "split": "test", "accuracy": accuracy, "macro_f1": accuracy / 2,
        "rows_synthetic": 10, "rows_real": 0,
        "rows_real_seen": 0, "steps_done": 5, "train_seconds": 1.0, "pool": "pools/x",
        "run": run or f"runs/{replicate}-{repeat}-{levels}",
    }  # fmt: skip
    return {**levels, **plain}


def findings(results, factors=(), replicates=1):
    return Findings(
        name="x", tasks={"t": TaskFacts(["a", "b"], {})}, factors=factors, results=results,
        sources=[], repeats=2, replicates=replicates, runs=len(results), problems=[],
        settings={}, drawless=[],
        recipe={}, caveat="",
    )  # fmt: skip


def test_repeats_of_one_condition_are_one_mean():
    rows = [result(0.8, 0, recipe="a"), result(0.9, 1, recipe="a"), result(0.5, 0, recipe="b")]
    found = condition_scores(findings(rows, ["recipe"]), "test")
    assert [one.levels["recipe"] for one in found] == ["a", "b"]
    assert found[0].scores["accuracy"].value == pytest.approx(0.85)
    assert found[0].scores["macro_f1"].value == pytest.approx(0.425)
    assert found[1].scores["accuracy"].low is None


def test_replicates_and_not_their_repeats_are_the_independent_draws():
    rows = [
        result(0.7 + 0.1 * draw + 0.01 * one, one, draw) for draw in range(2) for one in range(9)
    ]
    (found,) = condition_scores(findings(rows, replicates=2), "test")
    assert found.scores["accuracy"].repeats == 2
    assert found.scores["accuracy"].low < 0.7


def test_replicates_that_share_their_runs_are_one_draw():
    rows = [
        result(0.7 + 0.1 * one, one, draw, f"runs/{one}") for draw in range(2) for one in range(2)
    ]
    (found,) = condition_scores(findings(rows, replicates=2), "test")
    assert found.scores["accuracy"].repeats == 2
    assert found.scores["accuracy"].high > found.scores["accuracy"].low


def test_repeats_that_are_one_run_are_one_value_without_an_interval():
    found = findings([result(0.8, repeat, run="runs/x") for repeat in range(3)])
    (one,) = condition_scores(found, "test")
    assert one.scores["accuracy"] == (0.8, None, None, 1)
    assert found.runs_made == 1


def test_replicates_of_one_run_each_have_the_interval_of_their_number():
    rows = [
        result(0.7 + 0.1 * draw, repeat, draw, f"runs/{draw}")
        for draw in range(2)
        for repeat in range(3)
    ]
    found = findings(rows, replicates=2)
    (one,) = condition_scores(found, "test")
    assert one.scores["accuracy"].repeats == 2
    assert one.scores["accuracy"].value == pytest.approx(0.75)
    assert found.runs_made == 2


def test_conditions_that_share_a_run_are_counted_each():
    rows = [result(0.8, 0, run="runs/x", recipe=recipe) for recipe in ("a", "b")]
    assert findings(rows, ["recipe"]).runs_made == 2


def test_a_factor_has_a_column_of_its_own_type():
    rows = [
        result(0.8, 0, recipe="a", **{"train.steps": 5, "odd": 1}),
        result(0.8, 0, recipe=None, **{"train.steps": 6, "odd": "x"}),
    ]
    table = results_table(findings(rows, ["recipe", "train.steps", "odd"]))
    kinds = {field.name: field.type for field in table.schema}
    assert kinds["recipe"] == pa.string()
    assert kinds["train.steps"] == pa.int64()
    assert table["odd"].to_pylist() == ["1", "x"]
    assert table["recipe"].to_pylist() == ["a", None]
