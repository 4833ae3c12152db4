"""Real data sets and real LLM output: what the toy cannot show."""

import json
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import textmill

from engine.tasks.gold import load_gold
from engine.tasks.source import FileSource, read_rows
from engine.tasks.task import load_task, placed

YES_NO = {"yes": "True", "no": "False"}
STUDY = Path(__file__).parents[2] / "jobs" / "studies" / "recorded-sst2.toml"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("sst2", {"train": 6920, "validation": 872, "test": 1821}),
        ("ag_news", {"train": 4000, "validation": 1000, "test": 7600}),
        ("emotion", {"train": 16000, "validation": 2000, "test": 2000}),
        ("boolq", {"train": 1484, "validation": 248, "test": 742}),
    ],
)
def test_local_copies_serve_for_the_hubs(real_data, tmp_path, name, rows):
    files = {"train": "train", "validation": "dev", "test": "test"}
    folder = real_data / {"emotion": "emotion6"}.get(name, name)
    labels = YES_NO if name == "boolq" else {}
    splits = {
        split: FileSource(path=str(folder / f"{file}.jsonl.gz"), labels=labels)
        for split, file in files.items()
    }
    task = placed(load_task(name, tmp_path), splits)
    gold = load_gold(task)
    assert {split: found.table.num_rows for split, found in gold.items()} == rows
    assert all(gold["test"].count(label) for label in task.labels)


def test_local_copies_of_rte_serve_for_two_splits_and_the_third_is_cut_off(real_data, tmp_path):
    task = load_task("rte", tmp_path)
    splits = {
        split: FileSource(
            path=str(real_data / "rte" / f"{file}.jsonl.gz"), labels=task.splits["train"].labels
        )
        for split, file in {"train": "train", "test": "dev"}.items()
    }
    gold = load_gold(placed(task, splits))
    rows = {split: found.table.num_rows for split, found in gold.items()}
    assert rows == {"train": 2240, "validation": 250, "test": 277}
    assert {label: gold["test"].count(label) for label in task.labels} == {
        "True": 146,
        "False": 131,
    }
    assert 124 <= gold["validation"].count("True") <= 126


@pytest.mark.parametrize("name", ["rte", "boolq"])
def test_a_pair_s_fields_are_not_confused(real_data, tmp_path, name):
    task = load_task(name, tmp_path)
    path = str(real_data / name / "dev.jsonl.gz")
    labels = {"rte": task.splits["train"].labels, "boolq": YES_NO}[name]
    rows = read_rows(FileSource(path=path, labels=labels), task.columns, list(task.labels))
    shown = task.show(rows[0]["text"], rows[0]["text_pair"], rows[0]["label"])
    lines = {
        "rte": [
            "Premise: Dana Reeve, the widow",
            "Hypothesis: Christopher Reeve had",
            "Label: False",
        ],
        "boolq": ["Passage: ``While My Guitar", "Question: did eric clapton", "Answer: "],
    }[name]
    starts = zip(shown.strip().splitlines(), lines, strict=True)
    assert all(line.startswith(start) for line, start in starts)


RAW = STUDY.with_name("raw-amounts-local.toml")
PUBLISHED = {  # Li et al. 2024, figure 3: 100 and 1,000 real rows
    "sst2": (79.5, 91.6), "emotion": (32.6, 78.5), "rte": (54.1, 65.4),
}  # fmt: skip


@pytest.mark.parametrize(
    "tasks", [["sst2", "rte"], pytest.param(["sst2", "emotion", "rte"], marks=pytest.mark.long)]
)
def test_raw_arms_on_real_rows_stand_beside_the_published_numbers(real_data, tmp_path, tasks):
    study = re.sub(r"(?m)^task = .*", f"task = {json.dumps(tasks)}", RAW.read_text())
    for task in {*PUBLISHED} - {*tasks}:
        study = re.sub(rf"\[splits\.{task}\](\n.+)+\n", "", study)
    (tmp_path / "study.toml").write_text(study)
    quick = ["train.trainer=head", "train.max_length=32", "replicates=1", "resources.run_on=here"]
    words = [word for one in quick for word in ("--set", one)]
    data = os.path.relpath(real_data, tmp_path)
    done = textmill(
        "run", "study.toml", "--root", "root", *words, folder=tmp_path, TEXTMILL_DATA=data
    )
    assert done.returncode == 0, done.stderr + done.stdout
    place = tmp_path / "root" / "studies" / "raw-amounts-local"
    rows = pq.read_table(place / "results.parquet").to_pylist()
    ours = {(row["task"], row["real"]): row["macro_f1"] for row in rows if row["split"] == "test"}
    assert set(ours) == {(task, real) for task in tasks for real in (100, 1000)}
    lines = (place / "report.md").read_text().splitlines()
    for task in tasks:
        for real, theirs in zip((100, 1000), PUBLISHED[task], strict=True):
            own = 100 * ours[task, real]
            shown = f"| 0 | {real} | {theirs} | {own:.1f} | {own - theirs:+.1f} |"
            assert any(line.startswith(f"| {task} ") and shown in line for line in lines), shown
    # more real rows help, also this head on frozen embeddings
    assert all(ours[task, 1000] > ours[task, 100] for task in {*tasks} - {"rte"})
