"""The study files of Li et al. 2024, reduced: a stand-in for the LLM, a tiny classifier."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from paper_studies import FILES, ROWS, reduced, with_rows

from engine.pipeline import run_study
from engine.store.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a few made-up rows for each of the six tasks."""
    return with_rows(tmp_path_factory.mktemp("paper"), ROWS)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store.open(str(tmp_path_factory.mktemp("paper-root")))


LONG = {"main-grid", "raw-amounts", "steps-or-epochs"}  # whose parts others have in common


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.long] if path.stem in LONG else [], id=path.stem)
        for path in FILES
    ],
)
def test_every_study_of_the_paper_runs_to_its_report(path, folder, store, tiny_model):
    plan = reduced(path, folder, tiny_model)
    found = run_study(plan, store, lambda progress: None)
    assert found.problems == []
    assert found.runs_made == found.runs > 0
    place = Path(store.root) / found.folder
    rows = pq.read_table(place / "results.parquet").num_rows
    assert rows == 2 * len(plan.conditions)
    assert "Published against here" in (place / "report.html").read_text()
