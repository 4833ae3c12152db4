"""A small study whose every number can be worked out by hand, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from engine.findings.analysis import analyse
from engine.findings.findings import Expense, Findings, TaskFacts
from engine.findings.worth import bill
from engine.report.figure import cost_figure, quantity_figure
from engine.report.tables import comparisons_table, worth_table
from engine.report.words import about, in_money, summary
from engine.report.write import write_report
from engine.store.store import Store
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
        "steps_done": 1, "pool": None,
        "took": Expense(of_recipe * levels.get("quantity", 0), 36.0, None),
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
    (analysis,) = analyse.__wrapped__(found)
    assert "this pool" in summary(analysis, found)[-1]  # so far: the second is still to be made
    for row in found.results:
        row["replicate"] = row["repeat"] % 2
    (analysis,) = analyse.__wrapped__(found)
    assert not any("this pool" in one for one in summary(analysis, found))
    replayed = replace(found, is_replayed=True)
    assert summary(analysis, replayed)[-1].startswith("Recorded rows are the same in every")


def test_one_training_each_shows_nothing():
    found = study([({"quantity": 100}, 0.8), ({"quantity": 200}, 0.9)], ["quantity"])
    found.results[:] = [row for row in found.results if row["repeat"] == 0]
    (analysis,) = analyse.__wrapped__(found)
    told = summary(analysis, found)
    assert told[0].endswith("nothing is known of how others would come out.")
    assert "with one training each: that says nothing" in told[1]
    assert "accounts for" not in told[1]  # of how much noise there is nothing is known either


def test_one_condition_that_lacks_trainings_does_not_spoil_the_others():
    found, _ = recipes(0.80, 0.82, 0.84, 0.85)
    lacking = [row["recipe"] == "few_shot_3" and row["quantity"] == 400 for row in found.results]
    found.results[:] = [
        row for row, one in zip(found.results, lacking, strict=True) if not one or not row["repeat"]
    ]
    (analysis,) = analyse.__wrapped__(found)
    assert analysis.best.quantity == 200  # the best of those that were trained more than once
    told = " ".join(summary(analysis, found))
    assert "few_shot_3 beats zero_shot by 4.0 points" in told
    assert "(1 more has too few trainings to be compared)" in told


def test_conditions_without_a_training_in_common_are_counted():
    found, _ = recipes(0.80, 0.82, 0.84, 0.85)
    of = {("few_shot_3", 400): (0, 1), ("zero_shot", 200): (2, 3)}
    found.results[:] = [
        row
        for row in found.results
        if row["repeat"] in of.get((row["recipe"], row["quantity"]), range(REPEATS))
    ]
    (analysis,) = analyse.__wrapped__(found)
    assert "1 more cannot be compared: no training in common." in summary(analysis, found)[0]


def test_a_level_that_sets_numbers_of_rows_is_compared():
    arms = [("raw", 0, 100, 0.7), ("augmented", 1000, 100, 0.8)]
    grid = [
        ({"arm": name, "quantity": rows, "real": real}, share) for name, rows, real, share in arms
    ]
    (analysis,) = analyse(study(grid, ["arm"]))
    ((effect,),) = (one.effects for one in analysis.factors)
    assert effect.tested.difference.value == pytest.approx(0.1)


def test_what_a_number_of_rows_does_is_told_beside_none_where_there_is_but_one():
    grid = [
        ({"quantity": rows, "real": real}, 0.6 + rows / 10_000 + real / 1000)
        for rows in (0, 1000)
        for real in (50, 100)
    ]
    (analysis,) = analyse(study(grid, ["quantity", "real"]))
    shares = {one.factor: one.importance.share for one in analysis.factors}
    assert shares["quantity"] == pytest.approx(4 / 5, abs=0.02)  # 5 points each way, and 2.5


# Knees


def curve(*shares, rows=(100, 200, 400)):
    grid = [({"quantity": one}, share) for one, share in zip(rows, shares, strict=True)]
    found = study(grid, ["quantity"])
    (analysis,) = analyse(found)
    return found, analysis


def test_a_flat_curve_says_nothing_of_no_rows():
    found, analysis = curve(0.850, 0.852, 0.853)
    told = " ".join(summary(analysis, found))
    assert "beyond 100 synthetic rows, the fewest tried, no more than 1 point is left" in told


def test_a_curve_that_falls_has_no_knee():
    _, analysis = curve(0.70, 0.85, 0.75)
    assert analysis.knees == []


def test_a_number_of_rows_may_be_named_in_full():
    grid = [
        ({"mix.quantity": rows, "quantity": rows}, share)
        for rows, share in ((100, 0.7), (400, 0.8))
    ]
    (analysis,) = analyse(study(grid, ["mix.quantity"]))
    ((effect,),) = (one.effects for one in analysis.factors)
    assert effect.tested.difference.value == pytest.approx(0.1)
    assert len(analysis.knees) == 1


def test_a_recipe_that_fell_short_has_the_rows_that_it_had():
    found, _ = curve(0.70, 0.80, 0.80)
    for row in found.results:
        if row["quantity"] == 400:  # no more than 200 were there: the very same trainings
            row |= {"rows_synthetic": 200, "run": row["run"].replace("2-", "1-")}
    (analysis,) = analyse.__wrapped__(found)
    (found_knee,) = analysis.knees
    assert (found_knee.fewest, found_knee.most) == (100, 200)


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


@pytest.mark.parametrize(
    ("share", "cost", "pays_off"),
    [(0.9, 39, True), (0.9, 41, None), (0.6, 11, False), (0.6, 9, None)],
)
def test_beyond_the_curve_only_its_ends_are_shown(share, cost, pays_off):
    found, _, one = worth(share, annotation=Annotation(price_row=0.1))
    one = one._replace(condition=priced(one.condition, cost))  # ten rows for 1.00
    assert bill(one, found.annotation).pays_off is pays_off


def test_more_than_the_most_pays_off_at_least_from_a_price_on():
    found, _, one = worth(0.9)
    told = in_money(one._replace(condition=priced(one.condition, 20.0)), found)
    assert "They pay off at least where labelling a row costs more than 0.05." in told


def test_one_training_each_is_no_proof_that_rows_pay_off():
    found, _, _ = worth(0.75, annotation=Annotation(price_row=0.1))
    found.results[:] = [row for row in found.results if row["repeat"] == 0]
    (analysis,) = analyse.__wrapped__(found)
    (one,) = analysis.worths
    one = one._replace(condition=priced(one.condition, 2.0))
    assert bill(one, found.annotation).pays_off is None
    told = " ".join(summary(analysis, found))
    assert "(with other test rows, but the same trainings, " in told


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_the_page_has_the_knee_the_worth_and_the_sentences(share, tmp_path):
    grid = [({"quantity": rows, "real": 0, "recipe": "r"}, share) for rows in (500, 1000)]
    found = study(
        [*RAW, *grid], ["recipe", "quantity", "real"], {"r": 50},
        annotation=Annotation(price_row=0.1),
    )  # fmt: skip
    store = Store.open(str(tmp_path))
    write_report(found, store)
    (analysis,) = analyse(found)
    page = (tmp_path / found.folder / "report.md").read_text()
    assert all(sentence in page for sentence in summary(analysis, found))
    shown = {0.6: "< 100 [< 100, < 100]", 0.75: "200 [", 0.9: "> 400 [> 400, > 400]"}[share]
    assert shown in page


def test_rows_that_are_not_shown_to_help_are_not_said_to_harm():
    found, analysis, _ = worth(0.799, real=400)
    told = " ".join(summary(analysis, found))
    assert "they are worth none that could be shown." in told


def test_where_real_rows_lead_the_worth_is_of_what_is_best_on_validation():
    grid = [
        ({"quantity": 1000, "real": 0, "recipe": name}, share)
        for name, share in (("a", 0.75), ("b", 0.74))
    ]
    found = study([*RAW, *grid], ["recipe", "quantity", "real"])
    for row in found.results:
        if row["split"] == "validation" and row["recipe"] == "b":
            row["accuracy"] += 0.04
    (analysis,) = analyse.__wrapped__(found)
    assert analysis.best.real == 400
    assert analysis.told_worth.condition.levels["recipe"] == "b"


def priced(condition, cost):
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
