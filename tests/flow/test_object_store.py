"""A whole study on an S3 server."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import textmill
from s3_server import s3_server
from toy_study import make_toy

from engine.store.store import Store, is_leftover

TIMES = {"train_seconds", "pool", "run"}


@pytest.fixture(scope="module")
def server():
    with s3_server():
        yield


def test_a_study_on_an_object_store_comes_to_what_it_comes_to_in_a_folder(
    server, tmp_path, tiny_model
):
    folder = make_toy(tmp_path, tiny_model)
    words = ["run", "study.toml", "--set", "repeats=1"]
    words += ["--set", "factors.quantity=[0, 24]"]
    done = textmill(*words, "--root", "s3://bucket/study", folder=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "s3://bucket/study/studies/toy/report.html" in done.stdout
    aside = textmill(*words, "--root", "folder", folder=folder)
    assert aside.returncode == 0, aside.stderr + aside.stdout
    again = textmill(*words, "--root", "s3://bucket/study", folder=folder)
    assert "3 of 3 runs are there" in again.stdout, again.stderr
    store = Store.open("s3://bucket/study")
    rows = [
        pq.read_table(pa.BufferReader(data)).to_pylist()
        for data in (
            store._read("studies/toy/results.parquet"),
            Path(folder, "folder/studies/toy/results.parquet").read_bytes(),
        )
    ]
    assert [{k: v for k, v in row.items() if k not in TIMES} for row in rows[0]] == [
        {k: v for k, v in row.items() if k not in TIMES} for row in rows[1]
    ]
    here = Store.open(str(folder / "folder"))
    tables = [one.name for one in here.entries("pools") if one.name.endswith(".parquet")]
    assert len(tables) == 2
    for name in tables:
        assert store.table(name).table.equals(here.table(name).table)
    assert not [one for one in store.entries(".") if is_leftover(one.name)]
    seen = textmill("status", *words[1:], "--root", store.root, "--verify", folder=folder)
    assert seen.returncode == 0, seen.stdout
    store.commit("pools/nobodys/recipe.json", b"{}")
    words = ["clean", "--root", store.root, "--yes", "--older-than", "0"]
    assert "Removed 1 files and folders" in textmill(*words, folder=folder).stdout
    assert not store.names("pools/nobodys")
