"""The recorded SST-2 study, smaller: its rows, and what its report says worked out by hand."""

import gzip
import json
import math
import os
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import REPOSITORY, textmill
from scipy import stats

from engine.store.store import Store

STUDY = REPOSITORY / "jobs" / "studies" / "recorded-sst2.toml"
QUANTITIES = (50, 150)
REALS = (50, 100, 400)
DRAWS = 3
FEWER = [
    'train.trainer="head"', f"replicates={DRAWS}", "repeats=1",
    f"factors.quantity={[0, *QUANTITIES]}", f"factors.real={list(REALS)}",
    "exclude=[{real=[50, 400], quantity=[50, 150]}]", "annotation.price_row=0.09",
    "resources.run_on=here",
]  # fmt: skip


def run(study, folder, real_data, *overrides):
    words = [word for one in overrides for word in ("--set", one)]
    data = os.path.relpath(real_data, folder)
    done = textmill("run", study, "--root", "root", *words, folder=folder, TEXTMILL_DATA=data)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture(scope="module")
def said(folder, real_data):
    """What the summary says, a sentence or a few each."""
    shown = run(STUDY, folder, real_data, *FEWER)
    report = (folder / "root" / "studies" / "recorded-sst2" / "report.md").read_text()
    sentences = re.findall(r"^- (.*)$", report.split("## In short")[1].split("\n## ")[0], re.M)
    for sentence in sentences:  # the terminal says the same
        assert sentence in " ".join(shown.split())
    return sentences


@pytest.fixture(scope="module")
def right(folder, said, real_data):
    """Whether each test row is predicted right: by condition, shape (draws, rows)."""
    store = Store.open(str(folder / "root"))
    with gzip.open(real_data / "sst2" / "test.jsonl.gz", "rt") as lines:
        labels = [json.loads(line)["label"] for line in lines]
    gold = np.array([["negative", "positive"].index(label) for label in labels])
    rows = pq.read_table(folder / "root/studies/recorded-sst2/results.parquet").to_pylist()
    found = {}
    for row in sorted(rows, key=lambda row: row["replicate"]):
        if row["split"] == "test":
            key = (row["generator"], row["quantity"], row["real"])
            predicted = store.document(row["run"])["splits"]["test"]["predictions"]
            found.setdefault(key, []).append(np.array(predicted) == gold)
    return {key: np.array(own) for key, own in found.items()}


def about(sentences, start):
    (found,) = (one for one in sentences if one.startswith(start))
    return found


def difference(right, one, other):
    """Return a difference in points, and half its 95% interval."""
    by_row = np.mean([right[key] for key in one], axis=0) * 1.0
    by_row -= np.mean([right[key] for key in other], axis=0)  # (draws, rows)
    draws, rows = by_row.shape
    # what two draws share in a row is the row's; what is left is the draw's own
    together = by_row.mean(axis=0).var(ddof=1) / rows
    apart = by_row.var(axis=1, ddof=1).mean() / rows
    of_rows = (draws * together - apart) / (draws - 1)
    of_draws = by_row.mean(axis=1).var(ddof=1) / draws
    both = of_rows + of_draws
    freedom = both**2 / (of_rows**2 / (rows - 1) + of_draws**2 / (draws - 1))
    return 100 * by_row.mean(), 100 * stats.t.ppf(0.975, freedom) * math.sqrt(both)


def test_every_condition_is_scored_on_every_test_row(right):
    assert set(right) == {
        *((None, 0, real) for real in REALS),
        *((name, quantity, 100) for name in ("supergen", "fewgen") for quantity in QUANTITIES),
    }
    assert {own.shape for own in right.values()} == {(DRAWS, 1821)}
    # on a coin's throws 0.53 is as rare as 1 %
    assert right["fewgen", 150, 100].mean() > 0.6


def test_real_output_is_replayed_in_file_order_and_judged(said, folder, real_data):
    sources = {"fewgen": "sst2_seed13.jsonl.gz", "supergen": "sst2.jsonl.gz"}
    expected = {}
    for name, file in sources.items():
        with gzip.open(real_data / "llm_generated" / name / file, "rt") as lines:
            records = [json.loads(line) for line in lines]
        expected[name] = [one["text"] for one in records if one["label"] == "positive"]
    store = Store.open(str(folder / "root"))
    found = set()
    for view in [f"views/{name}" for name in store.names("views")]:
        files = [f"{view}/rows/{name}" for name in store.names(f"{view}/rows")]
        rows = [row for file in files for row in store.table(file).table.to_pylist()]
        positive = [row["completion"] for row in rows if row["label"] == "positive"]
        (name,) = (name for name, own in expected.items() if own[: len(positive)] == positive)
        found.add(name)
        refused = {row["reason"] for row in rows if row["status"] == "refused"}
        assert refused <= {"duplicate", "gold_copy", "too_short"}
        assert sum(row["status"] == "accepted" for row in rows) >= max(QUANTITIES)
    assert found == set(sources)


def test_the_best_is_that_of_validation_with_its_mean_on_test(said, right, folder):
    rows = pq.read_table(folder / "root/studies/recorded-sst2/results.parquet").to_pylist()
    validated = {}
    for row in rows:
        if row["split"] == "validation":
            key = (row["generator"], row["quantity"], row["real"])
            validated.setdefault(key, []).append(row["accuracy"])
    best = max(validated, key=lambda key: np.mean(validated[key]))
    generator, quantity, real = best
    words = [generator, f"{quantity:,} synthetic rows" if quantity else None, f"{real:,} real rows"]
    scores = right[best].mean(axis=1)
    half = stats.t.ppf(0.975, DRAWS - 1) * scores.std(ddof=1) / math.sqrt(DRAWS)
    low, high = 100 * (scores.mean() - half), 100 * (scores.mean() + half)
    assert said[0].startswith(
        f"Best on validation is {', '.join(word for word in words if word)}: accuracy "
        f"{100 * scores.mean():.1f} on test (95% interval {low:.1f} to {high:.1f})."
    )


def test_a_generator_s_difference_is_that_of_its_cells(said, right):
    sentence = about(said, "generator")
    cells = [[(name, quantity, 100) for quantity in QUANTITIES] for name in ("fewgen", "supergen")]
    points, half = difference(right, *cells)
    number = r"([+-]?\d+\.\d)"
    found = re.search(rf"{number} points, 95% interval {number} to {number}", sentence)
    told, low, high = map(float, found.groups())
    sign = -1 if "fewgen loses to" in sentence else 1
    assert sign * told == pytest.approx(points, abs=0.06)
    assert (high - low) / 2 == pytest.approx(half, rel=0.12)  # where rows were resampled
    assert (low + high) / 2 == pytest.approx(told, abs=0.1)
    if "beats" in sentence or "loses to" in sentence:  # p is stricter than the interval
        assert low > 0


def test_worth_is_where_real_rows_alone_score_the_same(said, right):
    sentence = about(said, "Worth")
    name, quantity = re.match(
        r"Worth, (\w+), (\d+) synthetic rows, 100 real rows", sentence
    ).groups()
    score = right[(name, int(quantity), 100)].mean()
    raw = np.maximum.accumulate([right[(None, 0, real)].mean() for real in REALS])
    if score > raw[-1]:
        assert "score more than 400 real rows alone" in sentence
    elif score < raw[0]:
        assert "score less than 50 real rows alone" in sentence
    else:
        rows = math.exp(np.interp(score, raw, np.log(REALS)))
        told = float(re.search(r"what about ([\d,]+) real", sentence)[1].replace(",", ""))
        assert told == pytest.approx(rows, rel=0.06)


HALVES = """
name = "halves"
task = "sst2"
repeats = 1
replicates = 3
[splits]
train = "${TEXTMILL_DATA}/sst2/train.jsonl.gz"
validation = "${TEXTMILL_DATA}/sst2/dev.jsonl.gz"
test = "${TEXTMILL_DATA}/sst2/test.jsonl.gz"
[generate]
engine = "recorded"
[train]
trainer = "head"
[factors]
quantity = [50, 150]
real = [0, 100]
[[factors.generator]]
name = "one_half"
records = "one_half.jsonl"
[[factors.generator]]
name = "other_half"
records = "other_half.jsonl"
"""


def test_two_halves_of_one_generator_s_rows_differ_in_nothing(folder, real_data):
    halves = {"one_half": [], "other_half": []}
    for path in sorted((real_data / "llm_generated" / "fewgen").glob("sst2_seed*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            rows = [json.loads(line) for line in lines]
        for label in ("negative", "positive"):
            own = [json.dumps(row) for row in rows if row["label"] == label][:60]
            for name, start in zip(halves, (0, 1), strict=True):
                halves[name] += own[start::2]
    for name, lines in halves.items():
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "halves.toml").write_text(HALVES)
    shown = " ".join(run("halves.toml", folder, real_data).split())
    compared = pq.read_table(folder / "root/studies/halves/comparisons.parquet").to_pylist()
    own = [row for row in compared if row["family"] == "generator"]
    assert [row["cells"] for row in own] == [4]
    assert own[0]["low"] < 0 < own[0]["high"]
    assert own[0]["p_adjusted"] > 0.05
    assert "No difference is shown between other_half and one_half:" in shown
