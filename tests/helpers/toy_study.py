"""A toy study: a task, gold rows, recorded rows, a study file."""

import json

GOOD = ("superb", "lovely", "delicious", "friendly", "fresh", "perfect")
BAD = ("awful", "stale", "rude", "greasy", "filthy", "bland")
THINGS = ("soup", "bread", "waiter", "table", "coffee", "pie", "salad", "menu", "music", "room")


def toy_rows(count, start=0):
    """Rows that a classifier can tell apart by one word, each of them different."""
    rows = []
    for number in range(start, start + count):
        label, words = (("bad", BAD), ("good", GOOD))[number % 2]
        word, thing = words[number // 2 % 6], THINGS[number // 12 % 10]
        rows.append({"label": label, "text": f"the {thing} was {word} on visit {number}"})
    return rows


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


TASK = """
name = "toy"
[labels]
bad = "the visitor disliked it"
good = "the visitor liked it"
[fields]
text = "Review"
[wording]
request = "Write one {label} review: {description}."
row = "Review: {text}\\nVerdict: {label}"
[splits]
train = "train.jsonl"
validation = "validation.jsonl"
test = "test.jsonl"
"""

STUDY = """
name = "toy"
task = "task.toml"
repeats = 2
[generate]
engine = "recorded"
records = "records.jsonl"
[train]
model = "./model"
steps = 6
batch_size = 8
learning_rate = 1e-3
precision = "float32"
[resources]
run_on = "here"
fleet = 1
[factors]
quantity = [0, 8, 24]
real = [0, 10]
"""


def make_toy(folder, model):
    """Fill ``folder`` with a toy study that trains the model in the folder ``model``."""
    write_jsonl(folder / "train.jsonl", toy_rows(40))
    write_jsonl(folder / "validation.jsonl", toy_rows(20, start=1000))
    write_jsonl(folder / "test.jsonl", toy_rows(30, start=2000))
    write_jsonl(folder / "records.jsonl", toy_rows(400, start=3000))
    (folder / "task.toml").write_text(TASK)
    (folder / "study.toml").write_text(STUDY)
    (folder / "model").symlink_to(model)
    return folder
