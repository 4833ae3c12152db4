import gzip
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from engine.errors import ConfigError, DataError
from engine.tasks.gold import as_rows, load_gold
from engine.tasks.order import real_order
from engine.tasks.source import CutSource, FileSource
from engine.tasks.task import builtin_tasks, load_task, placed

ROWS = [{"label": "good", "text": "a fine place"}, {"label": "bad", "text": "never, again"}]


def read(toy, **splits):
    task = load_task("task.toml", toy)
    sources = {split: FileSource(**source) for split, source in splits.items()}
    return load_gold(placed(task, sources))


def texts(rows):
    return list(zip(rows.table["label"].to_pylist(), rows.table["text"].to_pylist(), strict=True))


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "csv", "csv.gz", "parquet"])
def test_the_same_rows_come_from_every_format(toy, form):
    path = toy / f"rows.{form}"
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    table = pa.Table.from_pylist(ROWS)
    if form.startswith("jsonl"):
        path.write_bytes(gzip.compress(lines) if form.endswith("gz") else lines)
    elif form == "parquet":
        pa.parquet.write_table(table, path)
    else:
        sink = pa.BufferOutputStream()
        pa.csv.write_csv(table, sink)
        data = sink.getvalue().to_pybytes()
        path.write_bytes(gzip.compress(data) if form.endswith("gz") else data)
    assert texts(read(toy, test={"path": str(path)})["test"]) == [
        ("good", "a fine place"),
        ("bad", "never, again"),
    ]


def test_columns_and_labels_are_mapped(toy):
    (toy / "odd.csv").write_text("stars,review\n1,horrid\n5,splendid\n")
    source = {
        "path": str(toy / "odd.csv"),
        "columns": {"text": "review", "label": "stars"},
        "labels": {"1": "bad", "5": "good"},
    }
    assert texts(read(toy, test=source)["test"]) == [("bad", "horrid"), ("good", "splendid")]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"label": "goood", "text": "x"}', r"row 2: the label 'goood' is unknown.*'good'"),
        ('{"label": "good", "text": "  "}', r"row 2: the field 'text' is empty"),
        ('{"label": "good", "text": null}', r"row 2: the field 'text' is empty"),
        ('{"label": "good"}', r"row 2: the field 'text' is empty or missing"),
        ("{broken", r"cannot be read"),
    ],
)
def test_a_wrong_row_is_named_with_its_file(toy, line, says):
    path = toy / "wrong.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    with pytest.raises(DataError, match=r"wrong\.jsonl.*" + says):
        read(toy, test={"path": str(path)})


def test_a_column_that_is_not_there_is_named_with_those_that_are(toy):
    with pytest.raises(DataError, match=r"no field 'review'.*Known: label, text"):
        read(toy, test={"path": str(toy / "test.jsonl"), "columns": {"text": "review"}})


def test_a_file_that_is_not_there_or_not_known_is_refused(toy):
    with pytest.raises(DataError, match="There is no file"):
        read(toy, test={"path": str(toy / "nowhere.jsonl")})
    (toy / "rows.xml").write_text("")
    with pytest.raises(DataError, match="cannot tell its format"):
        read(toy, test={"path": str(toy / "rows.xml")})
    (toy / "bad.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"bad\.jsonl\.gz cannot be read"):
        read(toy, test={"path": str(toy / "bad.jsonl.gz")})


def test_validation_can_be_cut_off_the_train_split(toy):
    (toy / "task.toml").write_text(
        (toy / "task.toml")
        .read_text()
        .replace('validation = "validation.jsonl"', "validation = {cut = 10}")
    )
    whole = {text for _, text in texts(read(toy)["train"])} | {
        text for _, text in texts(read(toy)["validation"])
    }
    gold = load_gold(load_task("task.toml", toy))
    assert gold["validation"].table.num_rows == 10
    assert gold["train"].table.num_rows == 30
    assert len(whole) == 40
    assert gold["validation"].count("good") == 5


def test_two_splits_can_be_cut_off_the_train_split_and_share_no_row(toy):
    whole = texts(read(toy)["train"])
    cuts = {"validation": CutSource(cut=8), "test": CutSource(cut=12)}
    gold = load_gold(placed(load_task("task.toml", toy), cuts))
    sizes = {split: rows.table.num_rows for split, rows in gold.items()}
    assert sizes == {"train": len(whole) - 20, "validation": 8, "test": 12}
    assert sorted(row for rows in gold.values() for row in texts(rows)) == sorted(whole)
    assert (gold["validation"].count("good"), gold["test"].count("good")) == (4, 6)
    alone = load_gold(placed(load_task("task.toml", toy), {"validation": CutSource(cut=8)}))
    assert texts(alone["validation"]) == texts(gold["validation"])


def test_pairs_that_share_their_first_text_are_not_bunched():
    rows = [{"label": "a", "text": "one", "text_pair": str(number)} for number in range(20)]
    rows += [{"label": "a", "text": str(number), "text_pair": "x"} for number in range(20)]
    places = [place < 20 for place in real_order(as_rows(rows, "gold/x").table, 0)]
    assert places != sorted(places)
    assert places != sorted(places, reverse=True)


def test_rows_are_named_by_their_content():
    rows = [{"label": "a", "text": "x"}, {"label": "a", "text": "y"}, {"label": "a", "text": "x"}]
    ids = as_rows(rows, "gold/x").table["id"].to_pylist()
    assert len(set(ids)) == 3
    assert as_rows(rows[1:], "gold/x").table["id"].to_pylist()[0] == ids[1]


def test_words_that_stand_for_nothing_elsewhere_are_texts_in_a_csv(toy):
    (toy / "na.csv").write_text("label,text\ngood,NA\nbad,null\n")
    found = texts(read(toy, test={"path": str(toy / "na.csv")})["test"])
    assert found == [("good", "NA"), ("bad", "null")]


@pytest.mark.parametrize("name", ["empty.jsonl", "cut.jsonl.gz"])
def test_an_empty_or_a_cut_file_is_refused(toy, name):
    data = gzip.compress(b'{"label": "good", "text": "a fine place"}\n' * 999)
    (toy / name).write_bytes(b"" if name.startswith("empty") else data[: len(data) // 2])
    with pytest.raises(DataError, match=name):
        read(toy, test={"path": str(toy / name)})


@pytest.mark.parametrize(
    "rows", ["good,a fine place\nbad,never, again\n", "good,a,b\nbad,c,d\n", "good,a\nbad\n"]
)
def test_a_csv_row_of_more_or_fewer_fields_than_the_header_is_refused(toy, rows):
    (toy / "odd.csv").write_text("label,text\n" + rows)
    with pytest.raises(
        DataError, match=r"odd\.csv, row [12]: it has [13] fields, the header has 2"
    ):
        read(toy, test={"path": str(toy / "odd.csv")})


def test_an_absent_split_says_what_to_do(toy):
    text = (toy / "task.toml").read_text().replace('validation = "validation.jsonl"', "")
    (toy / "task.toml").write_text(text)
    with pytest.raises(DataError, match=r"no validation split.*\[splits\]"):
        load_gold(load_task("task.toml", toy))


def test_an_unreachable_hub_dataset_says_how_local_files_serve(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"stanfordnlp/sst2.*\[splits\] train"):
        load_gold(load_task("sst2", tmp_path))


def test_every_built_in_task_can_be_read(tmp_path):
    for name in builtin_tasks():
        task = load_task(name, tmp_path)
        assert set(task.splits) == {"train", "validation", "test"}
        for label in task.labels:
            assert label in task.request(label)
            assert label in task.show("a text", "another", label)


def test_a_misspelt_task_is_suggested(tmp_path):
    with pytest.raises(ConfigError, match=r"no task named 'sst_2'\. Did you mean 'sst2'"):
        load_task("sst_2", tmp_path)


def gold_table(labels, names):
    rows = [{"label": label, "text": name} for label, name in zip(labels, names, strict=True)]
    return as_rows(rows, "gold/x").table


def test_real_rows_are_balanced_and_their_order_is_a_draw():
    labels = ["a"] * 30 + ["b"] * 10 + ["c"] * 20
    table = gold_table(labels, [f"text {place}" for place in range(60)])
    order = real_order(table, 0)
    assert sorted(order) == list(range(60))
    assert [labels[place] for place in order[:30]] == ["a", "b", "c"] * 10
    assert [labels[place] for place in order[30:]] == ["a", "c"] * 10 + ["a"] * 10
    assert order != real_order(table, 1)


def test_rows_added_to_the_train_split_move_no_other():
    labels, names = ["a", "b"] * 20, [f"text {place}" for place in range(40)]
    before = [names[place] for place in real_order(gold_table(labels, names), 0)]
    more_labels, more_names = [*labels, "a", "b"], [*names, "new a", "new b"]
    longer = gold_table(more_labels, more_names)
    after = [more_names[place] for place in real_order(longer, 0)]
    for parity in (0, 1):
        old = [name for name in before if int(name.split()[1]) % 2 == parity]
        assert [name for name in after if name in old] == old
