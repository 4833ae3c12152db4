"""What is read without ``datasets`` is what ``datasets`` reads; of all else nothing is said."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.errors import DataError
from engine.tasks import source as sources
from engine.tasks.plain_files import plain_rows
from engine.tasks.source import FileSource

TEXTS = [
    "a fine place",
    'he said "no", twice',
    " spaces ",
    "naïve 😀 日本\u2028語",
    "tab\there",
    "12",
    "-3",
    "007",
    "1.50",
    "1e5",
    "0x1F",
    "True",
    "nan",
    "NA",
    "-inf",
    "",
    "2020-01-01",
    "2020-01-01T10:00:00Z",
    "2020-01-01 was a day",
    "12 monkeys",
    "'quoted'",
    "line\nbreak",
    "carriage\rreturn",
    "\\u0041 and \\",
    "\x00",
    "\x7f",
]


def by_datasets(path):
    """Return a file's rows as they are read where they cannot be read otherwise."""
    return list(sources._file(FileSource(path=str(path))))


def same(path, suffix):
    """Say whether a file was read; if so, what was read is what ``datasets`` reads."""
    rows = plain_rows(path, suffix)
    if rows is not None:
        wanted = by_datasets(path)
        assert [list(row) for row in rows] == [list(row) for row in wanted]
        shown = [{name: str(value) for name, value in row.items()} for row in rows]
        assert shown == [{name: str(value) for name, value in row.items()} for row in wanted]
    return rows is not None


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows):
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    quoted = [
        ",".join(f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row) for row in lines
    ]
    return "".join(f"{line}\n" for line in quoted).encode()


def test_made_up_files_hold_what_datasets_says(tmp_path):
    numbers, read = random.Random(0), []
    for number in range(60):
        few = numbers.sample(TEXTS, numbers.randint(1, 4))
        rows = [
            {"label": numbers.choice(["good", "bad"]), "text": numbers.choice(few)}
            for _ in range(numbers.randint(1, 6))
        ]
        for suffix, written in ((".jsonl", json_lines), (".csv", as_csv)):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(written(rows))
            try:
                read.append(same(path, suffix))
            except DataError:  # datasets refuses what was read
                raise AssertionError(rows) from None
    assert 20 < sum(read) < len(read)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", json_lines([{"label": "good", "text": "x", "n": 1, "f": 0.1, "b": True}] * 3)),
        (
            "a.jsonl",
            json_lines([{"label": 1, "text": "x", "z": None}, {"label": 2, "text": "y", "z": "z"}]),
        ),
        ("a.json", json_lines([{"label": "good", "text": "x"}])),
        (
            "a.jsonl",
            b'{"label": "good", "text": "x"}\r\n{"label": "bad", "text": "\\ud83d\\ude00"}',
        ),
        ("a.jsonl.gz", gzip.compress(json_lines([{"label": "good", "text": "x"}]), mtime=0)),
        ("a.csv", "label,text,stars\ngood,naïve,5\nbad,never,-1\n".encode()),
        ("a.csv", b'label,text\r\ngood,"a, b"\r\n\r\nbad,NA\r\n'),
        ("a.csv.gz", gzip.compress(b"label,text\ngood,x y\n", mtime=0)),
    ],
)
def test_ordinary_files_are_read(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert same(tmp_path / name, "." + name.split(".")[1])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", json_lines([{"label": "good", "text": "x"}, {"label": "bad"}])),
        ("a.jsonl", json_lines([{"label": 1, "text": "x"}, {"label": "2", "text": "x"}])),
        ("a.jsonl", json_lines([{"label": 1, "text": "x"}, {"label": 1.5, "text": "x"}])),
        ("a.jsonl", json_lines([{"label": True, "text": "x"}, {"label": 1, "text": "x"}])),
        ("a.jsonl", json_lines([{"label": "good", "text": {"a": 1}}])),
        ("a.jsonl", json_lines([{"label": 1 << 70, "text": "x"}])),
        ("a.jsonl", json_lines([{"label": "good", "text": "2020-01-01"}])),
        ("a.jsonl", json_lines([{"label": "good", "text": float("nan")}])),
        ("a.jsonl", b'{"label": "good", "text": "x", "text": "y"}\n'),
        ("a.jsonl", b'{"label": "good", "text": "\\ud83d"}\n'),
        ("a.jsonl", b'{"label": "good", "text": "\xff"}\n'),
        ("a.jsonl", b'\xef\xbb\xbf{"label": "good", "text": "x"}\n'),
        ("a.jsonl", b'{"label": "good",\n "text": "x"}\n'),
        ("a.jsonl", b'[{"label": "good", "text": "x"}]'),
        ("a.jsonl", b"{broken\n"),
        ("a.jsonl", b"\n"),
        ("a.jsonl.gz", b"not gzip"),
        ("a.csv", b"label,text\ngood,1.50\n"),
        ("a.csv", b"label,text\ngood,1e5\n"),
        ("a.csv", b"label,text\n01,x\n"),
        ("a.csv", b"label,text\nTrue,x\n"),
        ("a.csv", b"label,text\ngood,x\nbad,12\n"),
        ("a.csv", b'label,text\ngood,"x\ny"\n'),
        ("a.csv", b'label,text\ngood,"x\n'),
        ("a.csv", b"label,label\ngood,x\n"),
        ("a.csv", b"label,\ngood,x\n"),
        ("a.csv", b"label,text\ngood,x\rbad,y\n"),
        ("a.csv", b"label,text\n"),
    ],
)
def test_of_what_may_be_something_else_nothing_is_said(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert plain_rows(tmp_path / name, "." + name.split(".")[1]) is None


@pytest.mark.parametrize(
    ("columns", "is_read"),
    [
        ({"label": ["good", "bad"], "text": ["x", None]}, True),
        ({"label": [1, 2], "text": ["1", "2020-01-01"], "f": [0.5, None]}, True),
        ({"label": ["good"], "text": ["x"], "more": [[1, 2]]}, False),
        ({"label": ["good"], "text": [b"x"]}, False),
    ],
)
def test_parquet_of_plain_columns_is_read(tmp_path, columns, is_read):
    pa.parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert same(tmp_path / "a.parquet", ".parquet") == is_read


def test_a_column_of_parquet_that_datasets_named_is_left_to_it(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"label": ClassLabel(names=["bad", "good"]), "text": Value("string")})
    data = Dataset.from_dict({"label": [1], "text": ["x"]}, features=features)
    data.to_parquet(tmp_path / "a.parquet")
    assert plain_rows(tmp_path / "a.parquet", ".parquet") is None
