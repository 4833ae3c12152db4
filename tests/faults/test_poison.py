"""Rows, prompts and completions that hurt: they are refused with a reason, and end no study."""

import json
from collections import Counter

import datasets
import pyarrow.parquet as pq
import pytest
from command import textmill
from poisonous_plugins import (
    KINDS,
    SAME,
    STRANGE,
    kind_of,
)
from root_snapshot import snapshot
from toy_study import make_toy

from engine.generate.ledger import LOSSES
from engine.plan.plan import make_plan
from engine.store.schema import storable
from engine.store.store import Store
from engine.study.load import load_study


def recipe(name, answers, filters=None):
    """Return a recipe as TOML."""
    own = f"filters = {json.dumps(filters)}\n" if filters else ""
    told = f'engine_args = {{answers = "{answers}"}}'
    engine = 'engine = "poisonous_plugins:ToldByRecipe"'
    return f'[[factors.recipe]]\nname = "{name}"\n{engine}\n{told}\n{own}'


STUDY = """
name = "toy"
task = "task.toml"
repeats = 1
[train]
trainer = "head"
[resources]
run_on = "here"
[factors]
quantity = [40]
"""
RECIPES = {
    "sound": ("soundly",),
    "strange": ("strangely",),
    "some errors": ("with_some_errors",),
    "some raise": ("raising_for_some",),
    "choked": ("soundly", ["poisonous_plugins:Chokes", "duplicate"]),
}
HOPELESS = {
    "errors": ("with_an_error",),
    "raise": ("raising",),
    "refuse": ("refusing",),
    "same": ("the_same",),
    "choked on all": ("soundly", ["length", "poisonous_plugins:ChokesOnAll"]),
    "mumbled": ("soundly", ["poisonous_plugins:Mumbles"]),
    "stammered": ("soundly", ["poisonous_plugins:Stammers"]),
}
REASONS = {
    "errors": "error",
    "raise": "error",
    "refuse": "refusal",
    "same": "duplicate",
    "choked on all": "the row filter poisonous_plugins:ChokesOnAll raised RecursionError",
    "mumbled": "the row filter poisonous_plugins:Mumbles answered bool",
    "stammered": "too ? strange",
}
JUDGED = 2 * 64  # rows of two labels after which a recipe may be given up; fewer tell too little
MOST = 2 * 4 * 20  # four for each that is wanted


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_model):
    """A study of sound and poisonous recipes that was run once."""
    folder = make_toy(tmp_path_factory.mktemp("poison"), tiny_model)
    recipes = (recipe(name, *told) for name, told in {**RECIPES, **HOPELESS}.items())
    (folder / "study.toml").write_text(STUDY + "".join(recipes))
    return folder, textmill("run", "study.toml", "--root", "root", folder=folder)


@pytest.fixture(scope="module")
def plan(done):
    return make_plan(load_study(done[0] / "study.toml", []))


def view_of(plan, name):
    return next(cell.mix.view for cell in plan.cells if cell.condition.levels["recipe"] == name)


def rows_of(folder, plan, name):
    """Return the rows of a recipe's view, as any reader of Parquet finds them."""
    view = folder / "root" / view_of(plan, name).folder
    return [
        row for file in sorted(view.rglob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def results(folder):
    return pq.read_table(folder / "root" / "studies" / "toy" / "results.parquet").to_pylist()


def test_a_study_ends_with_its_sound_recipes_trained_and_the_others_named(done):
    folder, outcome = done
    assert outcome.returncode == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    made = {row["recipe"]: row["rows_synthetic"] for row in results(folder)}
    assert made == dict.fromkeys(RECIPES, 40)


@pytest.mark.parametrize("name", HOPELESS)
def test_a_hopeless_recipe_is_stopped_early_with_reasons_and_said_to_be_so(done, plan, name):
    folder, outcome = done
    rows, accepted = rows_of(folder, plan, name), 2 if name == "same" else 0
    assert JUDGED <= len(rows) <= MOST
    count = len(rows) - accepted
    assert Counter(row["reason"] for row in rows if row["reason"]) == {REASONS[name]: count}
    assert Counter(row["status"] for row in rows)["refused"] == count
    refused = f"{count} were refused ({count} {REASONS[name]})"
    said = f"Given up: quantity 40, recipe {name}, real 0: of {len(rows)} rows {refused}."
    assert said in outcome.stdout
    for page in ("report.md", "report.html"):
        text = (folder / "root" / "studies" / "toy" / page).read_text(encoding="utf-8")
        assert said in text.replace("\\", "")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("some errors", "it is too ? hot"),
        ("some raise", "the engine raised ValueError: cannot ? bear {}"),
    ],
)
def test_a_prompt_that_fails_costs_its_own_row_alone(done, plan, name, says):
    rows = rows_of(done[0], plan, name)
    bad = [row for row in rows if row["index"] % 16 in (3, 4, 5, 12)]
    assert len(rows) == 64
    assert len(bad) == 16
    for row in bad:
        assert (row["status"], row["reason"], row["completion"]) == ("refused", "error", "")
        assert row["error"] == says.format(row["index"])
    assert {row["status"] for row in rows if row not in bad} == {"accepted"}
    assert {row["error"] for row in rows if row not in bad} == {None}


def test_a_row_that_a_filter_fails_at_is_refused_and_the_others_are_not(done, plan):
    rows = rows_of(done[0], plan, "choked")
    failed = [row for row in rows if row["index"] % 2]
    assert len(rows) == 2 * len(failed) > 80
    reasons = {(row["status"], row["reason"]) for row in failed}
    assert reasons == {("refused", "the row filter poisonous_plugins:Chokes raised KeyError")}
    assert all(row["text"] == row["completion"] for row in failed)
    assert {row["status"] for row in rows if row not in failed} == {"accepted"}


def test_strange_completions_are_kept_as_they_are_and_judged(done, plan):
    rows = rows_of(done[0], plan, "strange")
    assert {kind_of(row["index"]) for row in rows} == set(KINDS)
    for row in rows:
        kind = kind_of(row["index"])
        assert row["completion"] == storable(STRANGE[kind].format(row["index"]))
        reason = {"a megabyte of words": "too_long"}.get(kind)
        assert (kind, row["reason"]) == (kind, reason)
        assert row["error"] is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a lone surrogate", "the soup was lovely ? on visit {}"),
        ("an escaped lone surrogate", "the soup was lovely ? on visit {}"),
        ("NUL bytes", "the soup\0was\0\0lovely on visit {}"),
        ("right to left", STRANGE["right to left"]),
        ("bidirectional controls", STRANGE["bidirectional controls"]),
        ("a name with a dotless i", "the soup was lovely on visit {}"),
        ("a name with a dotted I", "the soup was lovely on visit {}"),
        ("a word of a megabyte", STRANGE["a word of a megabyte"]),
    ],
)
def test_the_text_of_a_strange_completion_is_what_was_written(done, plan, kind, text):
    rows = [row for row in rows_of(done[0], plan, "strange") if kind_of(row["index"]) == kind]
    assert rows
    assert [row["text"] for row in rows] == [text.format(row["index"]) for row in rows]


def test_all_that_was_committed_is_sound_and_nothing_is_made_again(done):
    folder, outcome = done
    words = ("study.toml", "--root", "root")
    before = snapshot(folder / "root")
    status = textmill("status", *words, "--verify", folder=folder)
    assert status.returncode == 0, status.stdout
    again = textmill("run", *words, folder=folder)
    assert (again.returncode, again.stderr) == (1, "")
    assert again.stdout == outcome.stdout
    assert snapshot(folder / "root") == before


def test_the_report_is_written_again_from_what_is_there(done):
    folder, _ = done
    page = folder / "root" / "studies" / "toy" / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert textmill("report", "study.toml", "--root", "root", folder=folder).returncode == 1
    assert page.read_bytes() == before


@pytest.mark.parametrize("stage", ["pools", "views"])
def test_datasets_reads_every_row(done, tmp_path, stage):
    files = [str(one) for one in sorted((done[0] / "root" / stage).rglob("*.parquet"))]
    rows = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    expected = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert len(expected) > 900
    assert rows["completion"][:] == [row["completion"] for row in expected]
    assert rows["error"][:] == [row["error"] for row in expected]


STOPPED = """
[quota]
judged_after = 5000
[[exclude]]
recipe = ["sound", "broken"]
quantity = 20_000
[[factors.recipe]]
name = "broken"
engine = "poisonous_plugins:Raises"
"""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, tiny_model):
    """A study of an engine that never works, and one that would say the same 80,000 times."""
    folder = make_toy(tmp_path_factory.mktemp("stopped"), tiny_model)
    study = STUDY.replace("[40]", "[8, 20_000]").replace('"head"', '"user_plugins:Guess"')
    recipes = recipe("sound", "soundly") + recipe("same", "the_same")
    (folder / "study.toml").write_text(study + recipes + STOPPED)
    outcome = textmill("run", "study.toml", "--root", "root", folder=folder)
    return folder, outcome, make_plan(load_study(folder / "study.toml", []))


def test_ten_thousand_identical_completions_are_enough_to_stop(stopped):
    folder, outcome, plan = stopped
    rows = rows_of(folder, plan, "same")
    assert 10_000 <= len(rows) < 11_000
    assert {row["completion"] for row in rows} == {SAME}
    accepted = [(row["slot"], row["index"]) for row in rows if row["status"] == "accepted"]
    assert sorted(accepted) == [("bad", 0), ("good", 0)]
    refused = f"{len(rows) - 2} were refused ({len(rows) - 2} duplicate)"
    assert outcome.returncode == 1, outcome.stderr
    for quantity in (8, 20_000):
        told = f"Given up: quantity {quantity}, recipe same, real 0: of {len(rows)} rows {refused}."
        assert told in outcome.stdout


def test_an_engine_that_raises_whatever_it_is_asked_is_given_up_and_spoils_no_row(stopped):
    folder, outcome, plan = stopped
    cause = "it answers nothing: the engine raised ZeroDivisionError: the device is gone"
    assert outcome.stderr.count(f"an engine was lost and is replaced: {cause}") == LOSSES
    assert f"No engine was left that works: {cause}" in outcome.stdout
    assert "No engine was left that works" in (
        (folder / "root" / "studies" / "toy" / "report.md").read_text(encoding="utf-8")
    )
    pool = view_of(plan, "broken").pool
    assert pool.segments(Store.open(str(folder / "root"))) == {"bad": [], "good": []}
    assert {(row["recipe"], row["rows_synthetic"]) for row in results(folder)} == {("sound", 8)}
