"""The built-in tasks of the paper, read from stand-ins that are laid out as their hubs are."""

from collections import Counter

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from engine.tasks.gold import load_gold
from engine.tasks.task import load_task, placed

NYT = [
    *("Sports", "Arts, Culture, and Entertainment", "Business and Finance", "Health and Wellness"),
    *("Lifestyle and Fashion", "Science and Technology", "Politics", "Crime"),
]
MOODS = ["sadness", "joy", "love", "anger", "fear", "surprise"]
TEXT = Value("string")
# split: how many rows; column: its type and the value of a row, by the row's number
HUBS = {
    "sst2": (
        {"train": 1100, "validation": 8},
        {
            "sentence": (TEXT, "sentence {}".format),
            "label": (ClassLabel(names=["negative", "positive"]), lambda n: n % 2),
        },
    ),
    "emotion": (
        {"train": 12, "validation": 6, "test": 6},
        {"text": (TEXT, "tweet {}".format), "label": (ClassLabel(names=MOODS), lambda n: n % 6)},
    ),
    "nyt_topics": (
        {"train": 4080},
        {
            "article": (TEXT, "headline {}".format),
            "topic_id": (Value("int64"), lambda n: n % 8),
            "topic_name": (TEXT, lambda n: NYT[n % 8]),
        },
    ),
    "amazon_reviews": (
        {"train": 10, "validation": 5, "test": 5},
        {"text": (TEXT, "review {}".format), "label": (Value("int64"), lambda n: n % 5)},
    ),
    "rte": (
        {"train": 260, "validation": 4},
        {
            "sentence1": (TEXT, "premise {}".format),
            "sentence2": (TEXT, "hypothesis {}".format),
            "label": (ClassLabel(names=["entailment", "not_entailment"]), lambda n: n % 2),
        },
    ),
    "boolq": (
        {"train": 1010, "validation": 4},
        {
            "question": (TEXT, "question {}".format),
            "answer": (Value("bool"), lambda n: n % 2 == 0),
            "passage": (TEXT, "passage {}".format),
        },
    ),
}
ROWS = {
    "sst2": {"train": 100, "validation": 1000, "test": 8},
    "emotion": {"train": 12, "validation": 6, "test": 6},
    "nyt_topics": {"train": 80, "validation": 1000, "test": 3000},
    "amazon_reviews": {"train": 10, "validation": 5, "test": 5},
    "rte": {"train": 10, "validation": 250, "test": 4},
    "boolq": {"train": 10, "validation": 1000, "test": 4},
}


def hub(folder, subset, splits, columns):
    """Write a data set as a folder that ``datasets`` reads as it reads the hub's."""
    features = Features({name: kind for name, (kind, _) in columns.items()})
    files = []
    for split, rows in splits.items():
        data = {name: [value(n) for n in range(rows)] for name, (_, value) in columns.items()}
        Dataset.from_dict(data, features=features).to_parquet(folder / f"{split}.parquet")
        files.append(f"  - split: {split}\n    path: {split}.parquet\n")
    head = f"configs:\n- config_name: {subset or 'default'}\n  data_files:\n{''.join(files)}"
    (folder / "README.md").write_text(f"---\n{head}---\n")


@pytest.fixture(params=sorted(HUBS))
def gold(request, tmp_path, monkeypatch):
    """A task of the paper and its gold rows, as its file says where they are."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    task, (splits, columns) = load_task(request.param, tmp_path), HUBS[request.param]
    folder = tmp_path / "hub"
    folder.mkdir()
    hub(folder, task.splits["train"].subset, splits, columns)
    here = {
        split: source.model_copy(update={"hub": str(folder)}) if hasattr(source, "hub") else source
        for split, source in task.splits.items()
    }
    return task, load_gold(placed(task, here))


def test_a_hub_s_columns_and_labels_are_those_of_the_task(gold):
    task, rows = gold
    assert {split: found.table.num_rows for split, found in rows.items()} == ROWS[task.name]
    for found in rows.values():
        counts = Counter(found.table["label"].to_pylist())
        assert list(counts) == [] or set(counts) == set(task.labels)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_a_label_keeps_the_texts_that_the_hub_gives_it(gold):
    task, rows = gold
    order = {"boolq": ["True", "False"]}.get(task.name, list(task.labels))
    called = {field: name.lower() for field, name in task.fields.items()}
    for row in rows["test"].table.to_pylist():
        number = int(row["text"].split()[-1])
        assert row["label"] == order[number % len(order)]
        assert row["text"] == f"{called['text']} {number}"
        assert row["text_pair"] == (
            f"{called['text_pair']} {number}" if called.get("text_pair") else None
        )


def test_ratings_are_in_the_order_of_the_stars(tmp_path):
    assert list(load_task("amazon_reviews", tmp_path).labels) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("name", sorted(HUBS))
def test_a_task_of_the_paper_says_how_everything_is_asked(name, tmp_path):
    task = load_task(name, tmp_path)
    assert task.topics
    assert task.wording.free
    assert task.wording.rephrase
    assert {field for field in task.fields if f"{{{field}}}" in task.wording.row} == set(
        task.fields
    )
