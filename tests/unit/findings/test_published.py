"""Published numbers: what the built-in file says, how ours are matched, and what is shown."""

from pathlib import Path
from statistics import mean

import pytest

from engine.errors import ConfigError
from engine.findings.findings import Diagnosis, Findings, TaskFacts
from engine.findings.published.compare import compare
from engine.generate.engine import method_of
from engine.plan.plan import make_plan
from engine.report.tables import results_table
from engine.report.write import write_report
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.published.reading import Published, builtin_published, load_published

METHODS = ["zero_shot", "topic", "one_shot", "few_shot_3", "few_shot_5"]
TASKS = ["sst2", "emotion", "nyt_topics", "amazon_reviews", "rte", "boolq"]


@pytest.fixture(scope="module")
def paper():
    return load_published("li2024", Path())


def group(paper, title, measure="macro_f1"):
    (found,) = [
        one for one in paper.groups if one.title.startswith(title) and one.measure == measure
    ]
    return found


def values(found, **wanted):
    """Return a group's values whose cells have the fields wanted, by task and method."""
    return {
        (cell.task, cell.method): cell.value
        for cell in found.cells
        if all(getattr(cell, name) == value for name, value in wanted.items())
    }


def of_task(found, task):
    return [value for (own, _), value in found.items() if own == task]


# What the built-in file says


def test_every_number_of_the_paper_is_there(paper):
    counts = [(one.title.partition(":")[0], one.measure, len(one.cells)) for one in paper.groups]
    assert counts == [
        ("Figure 2", "macro_f1", 60),
        ("Figure 3", "macro_f1", 24),
        ("Table 4", "macro_f1", 18),
        ("Table 3", "macro_f1", 19),
        ("Table 3", "trivial", 10),
        ("Figure 5", "macro_f1", 48),
        ("Figure 4", "inter", 30),
        ("Figure 4", "to_real", 30),
    ]
    assert {cell.task for one in paper.groups for cell in one.cells} == set(TASKS)


@pytest.mark.parametrize("real", [0, 100])
@pytest.mark.parametrize("task", TASKS)
def test_the_means_of_table_4_follow_from_figure_2_but_for_emotion(paper, task, real):
    each = of_task(values(group(paper, "Figure 2"), real=real), task)
    (printed,) = of_task(values(group(paper, "Table 4"), reading="mean_of", real=real), task)
    assert len(each) == 5
    if task == "emotion":
        assert mean(each) == pytest.approx({0: 40.96, 100: 56.54}[real])
        assert abs(mean(each) - printed) > 0.2
    else:
        assert mean(each) == pytest.approx(printed, abs=0.1)


@pytest.mark.parametrize("task", TASKS)
def test_what_figure_3_calls_a_mean_is_the_best_of_figure_2(paper, task):
    each = of_task(values(group(paper, "Figure 2"), real=100), task)
    (augmented,) = of_task(values(group(paper, "Figure 3"), reading="best_of", real=100), task)
    assert augmented == max(each)
    assert augmented > mean(each) + 0.5


def test_the_gains_of_figure_3_are_those_that_the_paper_names(paper):
    raw = values(group(paper, "Figure 3"), reading="cell", real=100)
    best = values(group(paper, "Figure 3"), reading="best_of", real=100)
    gains = [best[one] - raw[one] for one in raw]
    assert (min(gains), max(gains)) == (pytest.approx(3.7), pytest.approx(26.1))


def test_the_rephrased_scores_of_table_3_are_those_of_figure_2_rounded(paper):
    exact, rounded = group(paper, "Figure 2"), group(paper, "Table 3")
    for real in (0, 100):
        for is_rephrased, count in ((True, 4), (False, 1)):
            wanted = {"task": "boolq", "real": real, "is_rephrased": is_rephrased}
            fine = values(exact, **wanted)
            coarse = values(rounded, **wanted, quantity=1000)
            assert len(fine) == count
            assert {one: coarse[one] for one in fine} == pytest.approx(fine, abs=rounded.error)


def test_the_curve_of_figure_5_ends_at_the_mean_of_figure_2(paper):
    for task in TASKS:
        each = of_task(values(group(paper, "Figure 2"), real=100), task)
        (end,) = of_task(values(group(paper, "Figure 5"), reading="mean_of", quantity=1000), task)
        assert end == pytest.approx(mean(each), abs=group(paper, "Figure 5").error)


def test_figures_3_and_5_disagree_on_real_rows_by_up_to_2_9_points(paper):
    wanted = {"quantity": 0, "real": 1000}
    printed = values(group(paper, "Figure 3"), **wanted)
    drawn = values(group(paper, "Figure 5"), **wanted)
    apart = {one: drawn[one] - printed[one] for one in printed}
    assert max(apart, key=apart.get) == ("emotion", None)
    assert max(apart.values()) == pytest.approx(2.9)


def test_of_the_similarities_topic_is_no_more_diverse_than_zero_shot(paper):
    inter = values(group(paper, "Figure 4", "inter"))
    by_method = {one: mean(inter[task, one] for task in TASKS) for one in METHODS}
    assert by_method["topic"] == pytest.approx(by_method["zero_shot"], abs=0.002)
    assert min(by_method, key=by_method.get) == "one_shot"
    assert max(by_method, key=by_method.get) == "few_shot_3"


def test_every_group_says_where_it_is_from_and_how_exact_it_is(paper):
    assert all("version 2" in one.source and one.error > 0 for one in paper.groups)


# How ours are matched


def results(test, validation=None, method="topic", quantity=1000, real=0, **own):
    """Return the rows of one condition: one repeat for each score on test."""
    validation = test if validation is None else validation
    plain = {
        "task": "sst2", "method": method, "is_rephrased": False, "quantity": quantity,
        "real": real, "replicate": 0, "rows_synthetic": quantity, "rows_real": real,
        "rows_real_seen": real, "steps_done": 5, "train_seconds": 1.0, "pool": "pools/x",
        "strategy": method, **own,
    }  # fmt: skip
    return [
        {
            **plain,
            "split": split,
            "repeat": repeat,
            "macro_f1": score / 100,
            "accuracy": 0.5,
            "run": f"runs/{[*plain.values()]}-{repeat}",
        }
        for split, scores in (("test", test), ("validation", validation))
        for repeat, score in enumerate(scores)
    ]


def findings(published, *conditions, factors=("strategy",), **own):
    return Findings(
        name="x", tasks={"sst2": TaskFacts(["a", "b"], {})}, factors=factors,
        results=[row for rows in conditions for row in rows], sources=[], repeats=2,
        replicates=1, runs=0, problems=[], settings={}, recipe={}, caveat="", drawless=[],
        published=published, **own,
    )  # fmt: skip


def one_group(*cells, measure="macro_f1", methods=("zero_shot", "topic"), **own):
    document = {
        "title": "Table 1",
        "measure": measure,
        "source": "Printed.",
        "methods": list(methods),
        "cells": list(cells),
        **own,
    }
    return Published.model_validate({"name": "p", "title": "P", "groups": [document]})


CELL = {"task": "sst2", "method": "topic", "quantity": 1000, "value": 84.1}
MEAN = {"task": "sst2", "reading": "mean_of", "quantity": 1000, "value": 80.0}
BEST = {**MEAN, "reading": "best_of"}


def lines(found):
    return [line for table in compare(found).tables for line in table.lines]


def test_a_condition_stands_beside_its_number_with_its_interval():
    (line,) = lines(findings(one_group(CELL), results([83, 85])))
    assert line.here.value == pytest.approx(84)
    assert line.here.low < 83
    assert line.difference == pytest.approx(-0.1)
    assert line.which == ""


@pytest.mark.parametrize(
    "other",
    [
        {"task": "rte"},
        {"method": "zero_shot"},
        {"is_rephrased": True},
        {"quantity": 200},
        {"real": 100},
    ],
)
def test_a_condition_that_differs_in_anything_does_not(other):
    assert lines(findings(one_group(CELL), results([83, 85], **other))) == []


def test_real_rows_alone_stand_beside_real_rows_alone():
    cell = {"task": "sst2", "real": 100, "value": 79.5}
    (line,) = lines(findings(one_group(cell), results([80], method=None, quantity=0, real=100)))
    assert (line.of, line.here.value) == ("real rows alone", pytest.approx(80))


def test_each_of_several_conditions_has_a_line_that_says_what_sets_it_apart():
    rates = [results([80], rate=1), results([90], rate=2)]
    found = findings(one_group(CELL), *rates, factors=("strategy", "rate"))
    assert [(line.which, line.here.value) for line in lines(found)] == [
        ("rate 1", pytest.approx(80)),
        ("rate 2", pytest.approx(90)),
    ]


def test_a_condition_that_fell_short_of_rows_says_so():
    (line,) = lines(findings(one_group(CELL), results([80], rows_synthetic=700)))
    assert line.which == "700 of 1000 synthetic rows"


def test_the_mean_over_methods_pairs_repeats_so_that_what_they_share_has_no_width():
    two = results([80, 90], method="zero_shot"), results([90, 80])
    (line,) = lines(findings(one_group(MEAN), *two))
    assert line.here == pytest.approx((85, 85, 85, 2))
    assert line.which.startswith("mean over all 2 methods")


def test_with_several_replicates_the_mean_is_over_their_means():
    two = [
        results([70 + 10 * draw, 72 + 10 * draw], method=method, replicate=draw)
        for method in ("zero_shot", "topic")
        for draw in (0, 1)
    ]
    (line,) = lines(findings(one_group(MEAN), *two))
    assert (line.here.value, line.here.repeats) == (pytest.approx(76), 2)


def test_replicates_that_share_their_runs_count_once():
    def recorded(method, draw):
        rows = results([70, 80], method=method, replicate=draw)
        return [{**row, "run": f"runs/{method}-{row['repeat']}"} for row in rows]

    two = [recorded(method, draw) for method in ("zero_shot", "topic") for draw in (0, 1)]
    (line,) = lines(findings(one_group(MEAN), *two))
    assert line.here.repeats == 2


def test_methods_without_the_same_draws_have_a_mean_and_no_interval():
    two = results([80, 90], method="zero_shot"), results([90])
    (line,) = lines(findings(one_group(MEAN), *two))
    assert line.here == (pytest.approx(87.5), None, None, 1)


def test_a_mean_over_some_of_the_methods_says_so():
    (line,) = lines(findings(one_group(MEAN), results([80])))
    assert line.which.startswith("mean over 1 of 2 methods")


def test_the_best_is_shown_as_chosen_on_validation_and_as_chosen_on_test():
    two = results([80, 82], [95, 95], method="zero_shot"), results([90, 92], [70, 70])
    validated, highest = lines(findings(one_group(BEST), *two))
    assert validated.here.value == pytest.approx(81)
    assert validated.here.low is not None
    assert validated.which.startswith("zero_shot, best of all 2 methods on validation")
    assert "their mean is 86.0" in validated.which
    assert highest.here == (pytest.approx(91), None, None, 1)
    assert highest.which == "topic, best of all 2 methods on test itself"


def test_a_factor_that_is_no_matter_of_the_method_sets_means_apart():
    shots = {"topic": None, "few_shot_3": 3}
    every = [
        results([score + rate], method=method, shots=shots[method], rate=rate)
        for rate in (1, 2)
        for method, score in (("topic", 70), ("few_shot_3", 80))
    ]
    published = one_group(MEAN, methods=["topic", "few_shot_3"])
    found = findings(published, *every, factors=("strategy", "shots", "rate"))
    assert [(line.which.partition(":")[0], line.here.value) for line in lines(found)] == [
        ("rate 1", pytest.approx(76)),
        ("rate 2", pytest.approx(77)),
    ]


def test_a_method_to_which_a_factor_does_not_apply_is_in_every_mean():
    every = [
        results([70], heat=None),
        results([80], method="zero_shot", heat=1),
        results([90], method="zero_shot", heat=2),
    ]
    found = findings(one_group(MEAN), *every, factors=("strategy", "heat"))
    assert [line.here.value for line in lines(found)] == [pytest.approx(75), pytest.approx(80)]


def test_what_is_never_rephrased_is_in_a_mean_of_rephrased_rows_as_it_is():
    published = one_group({**MEAN, "is_rephrased": True}, never_rephrased=["zero_shot"])
    two = results([80], method="zero_shot"), results([90], is_rephrased=True)
    both = lines(findings(published, *two, results([10])))
    assert [line.here.value for line in both] == [pytest.approx(85)]


def baseline(shots, split, score, task="sst2"):
    return {
        "task": task, "llm": "one", "shots": shots, "split": split, "constrained": True,
        "rows": 10, "unanswered": 0, "accuracy": 0.5, "macro_f1": score / 100,
        "prompt_tokens": 1, "completion_tokens": 1,
    }  # fmt: skip


def test_the_llm_itself_has_the_shots_that_are_best_on_validation():
    rows = [
        baseline(0, "validation", 70), baseline(0, "test", 90),
        baseline(3, "validation", 80), baseline(3, "test", 75),
        baseline(3, "validation", 99, "rte"), baseline(3, "test", 99, "rte"),
    ]  # fmt: skip
    published = one_group({"task": "sst2", "reading": "llm", "value": 95.6})
    (line,) = lines(findings(published, baselines=rows))
    assert line.here.value == pytest.approx(75)
    assert line.which == "one, shots 3, best of 0 and 3 on validation"


def diagnosis(inter, replicate=0, name="topic", **own):
    plain = {
        "task": "sst2", "method": "topic", "is_rephrased": False, "rows": 500, "to_real": None,
        "trivial": 20,
    }  # fmt: skip
    full = f"{name}, replicate {replicate}"
    return Diagnosis(**{**plain, "name": full, "replicate": replicate, "inter": inter, **own})


def test_similarities_are_means_over_replicates_and_trivial_rows_are_of_1000():
    cell = {**CELL, "value": 0.6}
    both = [diagnosis(0.5), diagnosis(0.7, 1), diagnosis(0.1, method="zero_shot")]
    (line,) = lines(findings(one_group(cell, measure="inter"), diagnostics=both))
    assert (line.here.value, line.here.repeats) == (pytest.approx(0.6), 2)
    assert line.which == "500 rows"  # as many as were compared
    assert lines(findings(one_group(cell, measure="to_real"), diagnostics=both)) == []
    (line,) = lines(findings(one_group(cell, measure="trivial"), diagnostics=both[:1]))
    assert line.here.value == 40


# What is shown


def shown(tmp_path, found):
    store = Store.open(str(tmp_path))
    write_report(found, store)
    folder = tmp_path / "studies" / "x"
    return (folder / "report.md").read_text(), (folder / "report.html").read_text()


def test_a_study_that_names_no_published_numbers_has_no_such_section(tmp_path):
    pages = shown(tmp_path, findings(None, results([83, 85])))
    assert all("Published" not in page for page in pages)


def test_only_what_the_study_has_is_shown_with_the_notes_that_concern_it(tmp_path, paper):
    for page in shown(tmp_path, findings(paper, results([83, 85]))):
        assert "Figure 2" in page
        assert "Table 4" in page  # the mean over one of five
        assert "Figure 3" not in page
        assert "40.96" not in page  # which is of another task
        assert "2 of its 60" not in page
        assert "1 of its 60" in page


def test_a_row_of_the_page_has_both_numbers_and_their_difference(tmp_path):
    text, _ = shown(tmp_path, findings(one_group(CELL), results([83])))
    assert "| sst2 | topic | 1000 | 0 | 84.1 | 83.0 | -1.1 |" in text.splitlines()


def test_where_nothing_matches_the_section_says_so_and_shows_no_number(tmp_path, paper):
    for page in shown(tmp_path, findings(paper, results([83], quantity=8))):
        assert "None of them is of a condition of this study." in page
        assert "Figure" not in page


def test_a_file_of_ones_own_cannot_break_the_page(tmp_path):
    nasty = one_group(CELL, title="<script>", notes=[{"says": "<script>", "here": "<script>"}])
    _, page = shown(tmp_path, findings(nasty, results([83])))
    assert "<script>" not in page


def test_what_numbers_are_known_by_is_no_column_of_the_results():
    names = set(results_table(findings(None, results([83]))).column_names)
    assert not names & {"task", "method", "is_rephrased"}


# What a file may say

FILE = """
name = "own"
title = "Own"
[[groups]]
title = "Table 1"
measure = "macro_f1"
source = "Printed."
methods = ["topic"]
cells = [
  {task = "sst2", method = "topic", quantity = 1000, value = 84.1},
]
"""


def test_a_file_of_ones_own_is_read_from_beside_the_study(tmp_path):
    (tmp_path / "own.toml").write_text(FILE)
    assert load_published("own.toml", tmp_path).name == "own"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("measure =", "meazure =", r"own\.toml: unknown key 'groups\.0\.meazure'.*'measure'"),
        ("macro_f1", "f1", r"groups\.0\.measure is 'f1'"),
        ("84.1", "841", r"841.0 of 'sst2' is no macro_f1.*between 0 and 100"),
        ('method = "topic", quantity = 1000', "real = 0", "neither synthetic nor real rows"),
        ("quantity = 1000", "real = 8", "both method and quantity"),
        ('method = "topic"', 'reading = "llm"', r'"llm" has no method, quantity and real'),
        ('method = "topic"', 'method = "topic", reading = "mean_of"', "methods of its group"),
        ('method = "topic", quantity = 1000', 'reading = "best_of"', "needs a quantity"),
        ("cells = [", 'cells = [{task = "sst2", method = "topic", quantity = 1000, value = 1},',
         r"number of 'sst2' is there twice"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path, old, new, message):
    assert old in FILE
    (tmp_path / "own.toml").write_text(FILE.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_published("own.toml", tmp_path)


def test_a_mean_over_no_methods_is_refused(tmp_path):
    text = FILE.replace('method = "topic"', 'reading = "mean_of"')
    (tmp_path / "own.toml").write_text(text.replace('methods = ["topic"]', ""))
    with pytest.raises(ConfigError, match=r'methods that "mean_of" is over'):
        load_published("own.toml", tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("li2042", "no published numbers named 'li2042'. Did you mean 'li2024'"),
        ("gone.toml", "no file .*gone.toml"),
        ("${NOWHERE}/x.toml", "NOWHERE.* is not set"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        load_published(name, tmp_path)


def test_the_built_in_files_are_called_by_their_names():
    assert list(builtin_published()) == ["li2024"]
    assert all(load_published(name, Path()).name == name for name in builtin_published())


def test_conditions_are_known_by_how_their_rows_were_asked_for(toy):
    study = toy / "study.toml"
    asked = ("generate.engine=user_plugins:Labelling", "generate.shots=2")
    strategies = "factors.strategy=['zero_shot', 'one_shot', 'few_shot']"
    plan = make_plan(load_study(study, [*asked, strategies, "published=li2024"]))
    assert {method_of(one.generate) for one in plan.conditions if one.mix.quantity} == {
        "zero_shot", "one_shot", "few_shot_2",
    }  # fmt: skip
    assert {method_of(one.generate) for one in plan.conditions if not one.mix.quantity} == {None}
    assert plan.published == load_published("li2024", Path())


def test_recorded_rows_are_not_taken_for_those_of_a_strategy(toy):
    plan = make_plan(load_study(toy / "study.toml"))
    assert {method_of(one.generate) for one in plan.conditions} == {None, "recorded"}
