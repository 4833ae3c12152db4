"""Real data sets and real LLM output: what the toy cannot show."""

import gzip
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import textmill

from engine.store import Store
from engine.tasks.gold import load_gold
from engine.tasks.source import FileSource
from engine.tasks.task import load_task

STUDY = Path(__file__).parent.parent / "jobs" / "studies" / "recorded-sst2.toml"


@pytest.mark.parametrize(
    ("name", "folder", "rows"),
    [
        ("sst2", "sst2", {"train": 6920, "validation": 872, "test": 1821}),
        ("ag_news", "ag_news", {"train": 4000, "validation": 1000, "test": 7600}),
        ("emotion", "emotion6", {"train": 16000, "validation": 2000, "test": 2000}),
    ],
)
def test_local_copies_serve_for_the_hubs(real_data, tmp_path, name, folder, rows):
    files = {"train": "train", "validation": "dev", "test": "test"}
    splits = {
        split: FileSource(path=str(real_data / folder / f"{file}.jsonl.gz"))
        for split, file in files.items()
    }
    task = load_task(name, tmp_path, splits)
    gold = load_gold(task)
    assert {split: found.table.num_rows for split, found in gold.items()} == rows
    assert all(gold["test"].count(label) for label in task.labels)


@pytest.fixture(scope="module")
def sst2(real_data, tmp_path_factory):
    """The recorded study with fewer rows, steps and repeats, run once."""
    folder = tmp_path_factory.mktemp("sst2")
    fewer = ["factors.quantity=[0, 100]", "factors.real=[100]", "exclude=[]"]
    fewer += ["repeats=1", "train.steps=24"]
    words = [word for one in fewer for word in ("--set", one)]
    done = textmill(
        "run",
        STUDY,
        "--root",
        "root",
        *words,
        folder=folder,
        TEXTMILL_DATA=os.path.relpath(real_data, folder),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return folder / "root"


def test_the_recorded_study_scores_every_condition_on_every_test_row(sst2):
    rows = pq.read_table(sst2 / "studies" / "recorded-sst2" / "results.parquet").to_pylist()
    test = {(row["generator"], row["quantity"], row["real"]): row for row in rows[1::2]}
    assert set(test) == {
        (None, 0, 100), ("supergen", 100, 100), ("fewgen", 100, 100),
    }  # fmt: skip
    store = Store.open(str(sst2))
    for row in test.values():
        assert len(store.document(row["run"])["splits"]["test"]["predictions"]) == 1821
        assert row["rows_real_seen"] == row["real"]
    # even so few rows and steps tell the labels apart; on a coin's throws 0.53 is as rare as 1 %
    assert test[("fewgen", 100, 100)]["accuracy"] > 0.6


def test_real_output_is_replayed_in_file_order_and_judged(sst2, real_data):
    source = real_data / "llm_generated" / "fewgen" / "sst2_seed13.jsonl.gz"
    with gzip.open(source, "rt") as lines:
        records = [json.loads(line) for line in lines]
    store = Store.open(str(sst2))
    views = [f"views/{name}" for name in store.names("views")]
    expected = [record["text"] for record in records if record["label"] == "positive"]
    found = []
    for view in views:
        files = [f"{view}/rows/{name}" for name in store.names(f"{view}/rows")]
        rows = [row for file in files for row in store.table(file).table.to_pylist()]
        positive = [row["completion"] for row in rows if row["label"] == "positive"]
        found.append(positive == expected[: len(positive)])
        refused = {row["reason"] for row in rows if row["status"] == "refused"}
        assert refused <= {"duplicate", "gold_copy", "too_short"}
        assert sum(row["status"] == "accepted" for row in rows) >= 100
    assert sorted(found) == [False, True]
