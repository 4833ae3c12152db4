"""A small study whose every number can be worked out by hand, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from engine.report.analysis import analyse
from engine.report.effects import comparisons_table, worth_table
from engine.report.figure import cost_figure, quantity_figure
from engine.report.findings import Findings, TaskFacts, Took
from engine.report.words import about, summary
from engine.report.worth import bill
from engine.study.resources import Annotation

ROWS = 2000
REPEATS = 4
# trainings of a condition differ by these shares of rows
OFF = np.array([-0.003, -0.001, 0.001, 0.003])


def study(conditions, factors, tokens=None, **own):
    """Return a study of conditions: their levels, and the share of rows that they have right."""
    results, predicted = [], {}
    for place, (levels, share) in enumerate(conditions):
        for repeat in range(REPEATS):
            right = round(ROWS * (share + OFF[(repeat + place) % REPEATS]))
            run = f"runs/{place}-{repeat}"
            predicted[run] = np.repeat([0, 1], [right, ROWS - right]).astype(np.int16)
            results += [
                result(levels, repeat, run, split, right / ROWS, tokens) for split in SPLITS
            ]
    plain = {
        "name": "x", "tasks": {"t": TaskFacts(["a", "b"], {})}, "factors": factors,
        "results": results, "sources": [], "repeats": REPEATS, "replicates": 1,
        "runs": len(predicted), "problems": [], "settings": {}, "recipe": {}, "caveat": "",
        "drawless": [], "gold": {"t": [0] * ROWS}, "predicted": predicted,
    }  # fmt: skip
    return Findings(**{**plain, **own})


SPLITS = ("validation", "test")


def result(levels, repeat, run, split, accuracy, tokens):  # noqa: PLR0913
    of_recipe = (tokens or {}).get(levels.get("recipe"), 0)
    plain = {
        "task": "t", "quantity": 0, "real": 0, "repeat": repeat, "replicate": 0, "split": split,
        "accuracy": accuracy, "macro_f1": accuracy, "run": run, "is_random": True,
        "rows_synthetic": levels.get("quantity", 0), "rows_real": levels.get("real", 0),
        "rows_real_seen": levels.get("real", 0), "train_seconds": 1.0,
        "took": Took(of_recipe * levels.get("quantity", 0), 36.0, None),
    }  # fmt: skip
    return {**plain, **levels}


def recipes(*shares):
    """Return a study of two recipes, at two quantities, and its analysis."""
    grid = [(recipe, quantity) for recipe in ("zero_shot", "few_shot_3") for quantity in (200, 400)]
    conditions = [
        ({"recipe": recipe, "quantity": quantity}, share)
        for (recipe, quantity), share in zip(grid, shares, strict=True)
    ]
    found = study(conditions, ["recipe", "quantity"], {"zero_shot": 100, "few_shot_3": 140})
    (analysis,) = analyse(found)
    return found, analysis


def test_a_level_is_compared_in_the_cells_that_agree_on_all_else():
    _, analysis = recipes(0.80, 0.82, 0.84, 0.85)
    by_name = {one.factor: one for one in analysis.factors}
    (recipe,) = by_name["recipe"].effects
    assert (by_name["recipe"].baseline, recipe.level, recipe.cells) == (
        "zero_shot",
        "few_shot_3",
        2,
    )
    assert recipe.tested.difference.value == pytest.approx((0.04 + 0.03) / 2)
    assert recipe.tokens == pytest.approx(1.4)
    (quantity,) = by_name["quantity"].effects
    assert (by_name["quantity"].baseline, quantity.level) == (200, 400)
    assert quantity.tested.difference.value == pytest.approx((0.02 + 0.01) / 2)


def test_factors_stand_in_the_order_of_what_they_account_for():
    _, analysis = recipes(0.80, 0.82, 0.84, 0.85)
    # of sums of squares 0.035^2, 0.015^2 and, for their interplay, 0.005^2
    shares = [one.importance.share for one in analysis.factors]
    assert [one.factor for one in analysis.factors] == ["recipe", "quantity"]
    assert shares == pytest.approx([35**2 / 1475, 15**2 / 1475], abs=0.005)


def test_the_leader_is_chosen_on_validation_and_compared_on_test():
    found, _ = recipes(0.80, 0.82, 0.84, 0.85)
    for row in found.results:  # on validation it is the other way round
        if row["split"] == "validation":
            row["accuracy"] = 1 - row["accuracy"]
    (analysis,) = analyse.__wrapped__(found)
    assert analysis.best.levels["recipe"] == "zero_shot"
    assert analysis.best.quantity == 200
    assert analysis.others[0] is None
    assert [one.difference.value for one in analysis.others[1:]] == pytest.approx(
        [-0.02, -0.04, -0.05]
    )


def test_the_summary_says_what_beats_what_by_how_much_and_at_which_cost():
    found, analysis = recipes(0.80, 0.82, 0.84, 0.85)
    told = summary(analysis, found)
    (recipe,) = (one for one in told if one.startswith("recipe"))
    effect = analysis.factors[0].effects[0].tested.difference
    assert recipe == (
        f"recipe accounts for 83% of the variance between conditions. few_shot_3 beats zero_shot "
        f"by 3.5 points, 95% interval {100 * effect.low:.1f} to {100 * effect.high:.1f} in 2 "
        "matched cells, at 1.4 times the tokens."
    )
    assert 2.5 < 100 * effect.low < 3.5 < 100 * effect.high < 4.5
    assert told[0].startswith(
        "Best on validation is few_shot_3, 400 synthetic rows: accuracy 85.0 on test (95% interval "
    )
    assert told[0].endswith("On test it is ahead of 3 of the 3 other conditions.")
    assert told[-1].startswith("All of this is of this pool only")


def test_where_nothing_is_shown_the_summary_says_so():
    found, analysis = recipes(0.800, 0.820, 0.8005, 0.8205)
    told = " ".join(summary(analysis, found))
    assert "No difference is shown between few_shot_3 and zero_shot: +0.1" in told
    assert "beats zero_shot" not in told


def test_several_replicates_are_no_single_pool():
    found = study([({"quantity": 100}, 0.8), ({"quantity": 200}, 0.9)], ["quantity"], replicates=2)
    (analysis,) = analyse(found)
    assert not any("this pool" in one for one in summary(analysis, found))
    replayed = replace(found, is_replayed=True)
    assert summary(analysis, replayed)[-1].startswith("Recorded rows are the same in every")


def test_one_training_each_shows_nothing():
    found = study([({"quantity": 100}, 0.8), ({"quantity": 200}, 0.9)], ["quantity"])
    found.results[:] = [row for row in found.results if row["repeat"] == 0]
    (analysis,) = analyse.__wrapped__(found)
    told = summary(analysis, found)
    assert told[0].endswith("nothing is known of how others would come out.")
    assert "100 synthetic rows, with one training each: that says nothing" in told[1]


# Worth and cost

RAW = [
    ({"quantity": 0, "real": real, "recipe": None}, share)
    for real, share in ((100, 0.70), (400, 0.80))
]


def worth(share, real=0, **own):
    levels = {"quantity": 1000, "real": real, "recipe": "r"}
    found = study([*RAW, (levels, share)], ["recipe", "quantity", "real"], {"r": 50}, **own)
    (analysis,) = analyse(found)
    (one,) = analysis.worths
    return found, analysis, one


def test_rows_are_worth_as_many_real_ones_as_score_the_same():
    found, analysis, one = worth(0.75)
    assert one.reach.rows == pytest.approx(200, rel=0.02)  # halfway, on the logarithm
    assert one.reach.low < 200 < one.reach.high
    (told,) = (line for line in summary(analysis, found) if line.startswith("Worth"))
    low, high = about(one.reach.low), about(one.reach.high)
    assert told == (
        "Worth, r, 1,000 synthetic rows: 1,000 synthetic rows are worth about 200 real ones (95% "
        f"interval {low} to {high})."
    )


def test_beside_real_rows_they_are_worth_what_is_left():
    found, analysis, one = worth(0.75, real=100)
    assert one.further.rows == pytest.approx(100, rel=0.04)
    (told,) = (line for line in summary(analysis, found) if line.startswith("Best"))
    assert "400 real rows" in told  # alone they are best
    (told,) = (line for line in summary(analysis, found) if line.startswith("Worth"))
    assert "beside 100 real ones score what about 200 real rows alone do" in told
    assert told.endswith("they are worth about 100 further ones.")


def test_beyond_what_was_tried_there_is_more_or_less():
    found, analysis, _ = worth(0.9)
    told = " ".join(summary(analysis, found))
    assert "score more than 400 real rows alone, the most tried." in told
    found, analysis, _ = worth(0.6)
    told = " ".join(summary(analysis, found))
    assert "score less than 100 real rows alone, the fewest tried." in told


def test_the_summary_says_whether_rows_pay_off():
    # 50,000 tokens and 36 s, of which only the price of the hour is known: 2.00 of cost
    found, _, one = worth(0.75, annotation=Annotation(price_row=0.1, seconds_row=18))
    one = one._replace(condition=priced(one.condition, 2.0))
    own = bill(one, found.annotation)
    assert own.labelling == pytest.approx(20, rel=0.02)  # 200 rows at 0.10
    assert own.hours == pytest.approx(1.0, rel=0.02)  # 200 rows at 18 s
    assert own.affords == pytest.approx(20)
    assert own.pays_off is True  # 20 rows are less than the interval around 200
    assert (
        bill(one._replace(condition=priced(one.condition, 20.0)), found.annotation).pays_off is None
    )
    assert (
        bill(one._replace(condition=priced(one.condition, 90.0)), found.annotation).pays_off
        is False
    )


def priced(condition, cost):
    from dataclasses import replace

    return replace(condition, took=condition.took._replace(cost=cost))


def test_the_tables_have_what_the_report_shows():
    found, analysis, one = worth(0.75, annotation=Annotation(price_row=0.1))
    compared = comparisons_table([analysis]).to_pylist()
    assert {row["family"] for row in compared} == {"real", "leader"}
    (row,) = worth_table([analysis], found.annotation).to_pylist()
    assert row["real_rows"] == pytest.approx(one.reach.rows)
    assert row["tokens"] == 50_000
    assert row["labelling"] == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize(
    ("rows", "told"), [(0, "0"), (7.4, "7"), (243, "240"), (1234, "1,200"), (-38.2, "-38")]
)
def test_rows_are_told_with_two_digits(rows, told):
    assert about(rows) == told


def test_a_knee_is_marked_on_its_line():
    grid = [({"quantity": rows}, share) for rows, share in ((100, 0.6), (200, 0.7), (400, 0.71))]
    (analysis,) = analyse(study(grid, ["quantity"]))
    (knee,) = analysis.knees
    (panel,) = quantity_figure(analysis.conditions, "accuracy", analysis.knees).axes
    ((xs, ys),) = (line.get_data() for line in panel.lines if line.get_marker() == "D")
    assert xs == [knee.reach.rows]
    assert 0.69 < ys[0] < 0.71  # on the line, a point below its end


def test_a_recipe_need_not_stand_beside_every_number_of_real_rows():
    grid = [
        ({"strategy": name, "quantity": rows, "real": real}, 0.7)
        for name, real in (("topic", 0), ("topic", 100), ("few_shot", 100))
        for rows in (100, 200)
    ]
    (analysis,) = analyse(study(grid, ["strategy", "quantity", "real"]))
    alone, beside = quantity_figure(analysis.conditions, "accuracy", analysis.knees).axes
    drawn = [
        [line for line in axis.lines if len(line.get_xdata()) == 2] for axis in (alone, beside)
    ]
    assert [len(lines) for lines in drawn] == [1, 2]


def test_scores_stand_over_what_their_rows_took():
    found, analysis = recipes(0.80, 0.82, 0.84, 0.85)
    (panel,) = cost_figure(analysis.conditions, found.metric).axes
    points = {tuple(float(one[0]) for one in line.get_data()) for line in panel.lines}
    assert {x for x, _ in points} == {20_000, 40_000, 28_000, 56_000}
    assert dict(points)[56_000] == pytest.approx(0.85)
