"""The table of a report, without a study."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from engine.findings.findings import Diagnosis, Findings, TaskFacts
from engine.report.tables import DIAGNOSIS_COLUMNS
from engine.report.write import write_report
from engine.store.store import Store

DASH = "\N{EN DASH}"
SYNTHETIC = Diagnosis("few", "boolq", "few_shot_3", False, 0, 500, 0.61234, 0.5, 20)
REAL = Diagnosis("real rows", "boolq", None, False, 0, 100, 0.25, None, 3)


@pytest.fixture
def written(tmp_path):
    store = Store.open(str(tmp_path / "root"))

    def write(*diagnostics):
        found = Findings(
            name="x", tasks={"t": TaskFacts(["a", "b"], {})}, factors=[], results=[], sources=[],
            repeats=1, replicates=1, runs=0, problems=[], settings={}, recipe={}, caveat="",
            drawless=[], diagnostics=diagnostics, encoder="the-encoder",
        )  # fmt: skip
        write_report(found, store)
        return Path(store.root) / "studies" / "x"

    return write


def rows_of(folder):
    page = (folder / "report.md").read_text().partition("## How alike the rows are")[2]
    return [line for line in page.partition("##")[0].splitlines() if line.startswith("|")]


def test_a_row_for_each_source_with_cosines_and_trivial_rows_per_thousand(written):
    folder = written(SYNTHETIC, REAL)
    assert rows_of(folder) == [
        "| source | rows | inter-sample cosine | cosine to real rows | trivial rows | per 1,000 |",
        "|---|---:|---:|---:|---:|---:|",
        "| few | 500 | 0.612 | 0.500 | 20 | 40 |",
        f"| real rows | 100 | 0.250 | {DASH} | 3 | 30 |",
    ]
    page = (folder / "report.html").read_text()
    for shown in ("How alike the rows are", "the-encoder", ">0.612<", ">40<", f">{DASH}<"):
        assert shown in page


def test_trivial_rows_are_not_spoken_of_where_no_task_lists_words(written):
    folder = written(SYNTHETIC._replace(trivial=None), REAL._replace(trivial=None))
    assert rows_of(folder)[2:] == [
        "| few | 500 | 0.612 | 0.500 |",
        f"| real rows | 100 | 0.250 | {DASH} |",
    ]
    assert "rivial" not in (folder / "report.html").read_text()


def test_the_task_is_named_where_there_are_several(written):
    folder = written(SYNTHETIC, SYNTHETIC._replace(task="rte", trivial=None))
    assert rows_of(folder)[3] == f"| rte | few | 500 | 0.612 | 0.500 | {DASH} | {DASH} |"


def test_the_table_is_written_too_and_emptied_when_there_are_no_diagnoses_any_more(written):
    (synthetic, real) = pq.read_table(written(SYNTHETIC, REAL) / "diagnostics.parquet").to_pylist()
    assert synthetic == {**SYNTHETIC._asdict(), "trivial_per_1000": 40}
    assert (real["method"], real["to_real"], real["trivial_per_1000"]) == (None, None, 30)
    empty = pq.read_table(written() / "diagnostics.parquet")
    assert (empty.num_rows, empty.column_names) == (0, list(DIAGNOSIS_COLUMNS))


def test_a_study_that_asks_for_none_says_nothing_of_it(written):
    folder = written()
    assert not (folder / "diagnostics.parquet").exists()
    assert "How alike" not in (folder / "report.html").read_text()
    assert "How alike" not in (folder / "report.md").read_text()
