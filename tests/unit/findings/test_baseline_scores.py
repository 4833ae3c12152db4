import pytest

from engine.findings.baselines import ahead, baseline_scores, best_baselines
from engine.findings.findings import ConditionScore, Findings, Mean, TaskFacts
from engine.report.tables import BASELINE_COLUMNS, baseline_table


def row(shots, split, accuracy, replicate=None, llm="one", **own):
    return {
        **dict.fromkeys(BASELINE_COLUMNS),
        "task": "x",
        "llm": llm,
        "constrained": False,
        "shots": shots,
        "replicate": replicate,
        "split": split,
        "rows": 10,
        "unanswered": 1,
        "accuracy": accuracy,
        "macro_f1": accuracy / 2,
        "prompt_tokens": 5,
        "completion_tokens": 2,
        **own,
    }


def findings(*rows):
    return Findings(
        name="x", tasks={"x": TaskFacts(["a", "b"], {})}, factors=[], results=[], sources=[],
        repeats=1, replicates=2, runs=0, problems=[], settings={}, recipe={}, caveat="",
        drawless=[],
        baselines=rows,
    )  # fmt: skip


def both(shots, validation, test, **own):
    return row(shots, "validation", validation, **own), row(shots, "test", test, **own)


def test_the_best_is_chosen_on_validation_and_not_on_test():
    found = findings(*both(0, 0.7, 0.9), *both(3, 0.8, 0.6), *both(3, 0.75, 0.99, llm="other"))
    best = best_baselines(found)["x"]
    assert (best.llm, best.shots, best.test.scores["accuracy"].value) == ("one", 3, 0.6)
    scores = dict.fromkeys(("accuracy", "macro_f1"), Mean(0.5, None, None, 1))
    condition = ConditionScore("x", {}, 8, 0, scores, 8, 0, 0, 1)
    assert ahead(condition, best) == pytest.approx({"accuracy": -0.1, "macro_f1": 0.2})


def test_with_shots_the_mean_and_its_interval_are_over_the_replicates():
    found = findings(*both(3, 0.7, 0.6, replicate=0), *both(3, 0.7, 0.8, replicate=1))
    (one,) = baseline_scores(found)
    assert one.test.scores["accuracy"].value == pytest.approx(0.7)
    assert one.test.scores["accuracy"].repeats == 2
    assert one.test.unanswered == pytest.approx(0.1)
    assert one.tokens == 28


def test_without_both_splits_there_is_nothing_to_choose_by():
    assert baseline_scores(findings(row(0, "test", 0.9))) == []
    assert best_baselines(findings()) == {}


def test_the_table_has_its_columns_whatever_is_there():
    assert baseline_table(findings()).column_names == list(BASELINE_COLUMNS)
    assert baseline_table(findings(*both(0, 0.7, 0.9))).num_rows == 2
