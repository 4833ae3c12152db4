"""The study files of Li et al. 2024, reduced: a stand-in for the LLM, a tiny classifier."""

import json
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toy_study import write_jsonl

from engine.pipeline import run_study
from engine.plan import make_plan
from engine.report.published.compare import compare
from engine.store import Store
from engine.study.load import load_study
from engine.tasks.task import load_task

PAPER = Path(__file__).parent.parent / "jobs" / "studies" / "paper"
FILES = sorted(PAPER.glob("*.toml"))
TASKS = ["sst2", "emotion", "nyt_topics", "amazon_reviews", "rte", "boolq"]
METHODS = ["zero_shot", "topic", "one_shot", "few_shot_3", "few_shot_5"]
ROWS = {"train": 40, "validation": 10, "test": 10}
FEW = {0: 0, 100: 10, 200: 16, 400: 24, 600: 32, 1000: 40}  # in place of the paper's amounts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a few made-up rows for each of the six tasks."""
    place = tmp_path_factory.mktemp("paper")
    for name in TASKS:
        task = load_task(name, place)
        labels = list(task.labels)
        for split, count in ROWS.items():
            rows = [
                {
                    **{field: f"{field} {number} of {split}, {name}" for field in task.fields},
                    "label": labels[number % len(labels)],
                }
                for number in range(count)
            ]
            write_jsonl(place / f"{name}-{split}.jsonl", rows)
    return place


def places(folder, tasks):
    """Return what ``splits`` is set to: a table of tables, in TOML."""
    by_task = []
    for name in tasks:
        files = [f'{split} = "{folder / f"{name}-{split}.jsonl"}"' for split in ROWS]
        by_task.append(f"{name} = {{{', '.join(files)}}}")
    return f"{{{', '.join(by_task)}}}"


def fewer(amounts):
    return [FEW[one] for one in (amounts if isinstance(amounts, list) else [amounts])]


def exclusions(document):
    """Return what a file leaves out, with the amounts of the reduced form, in TOML."""
    tables = []
    for one in document["exclude"]:
        own = {name: fewer(to) if name in ("quantity", "real") else to for name, to in one.items()}
        tables.append(
            "{" + ", ".join(f"{name} = {json.dumps(to)}" for name, to in own.items()) + "}"
        )
    return f"[{', '.join(tables)}]"


def reduced(path, folder, model, *more):
    """Plan a study file with little of everything."""
    document = tomllib.loads(path.read_text())
    tasks = document["task"] if isinstance(document["task"], list) else [document["task"]]
    factors = document["factors"]
    overrides = [
        f"splits={places(folder, tasks)}",
        "generate.engine=standin:StandIn",
        "generate.topics={write=20}",
        f"factors.quantity={fewer(factors['quantity'])}",
        f"factors.real={fewer(factors['real'])}",
        *([f"exclude={exclusions(document)}"] if "exclude" in document else []),
        f"train.model={json.dumps(str(model))}",
        "train.precision=float32",
        "replicates=1",
        "repeats=1",
        "resources.fleet=1",
        *more,
    ]
    if "budget" in factors:
        few_steps = '{name = "steps", steps = 2}, {name = "epochs", epochs = 0.1}'
        overrides.append(f"factors.budget=[{few_steps}]")
    else:
        overrides.append("train.steps=2")
    if "baseline" in document:
        overrides.append("baseline.shots=[0, 3]")
    if "diagnose" in document:
        overrides += [f"diagnose.model={json.dumps(str(model))}", "diagnose.real=10"]
    return make_plan(load_study(path, overrides))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store.open(str(tmp_path_factory.mktemp("paper-root")))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_study_of_the_paper_runs_to_its_report(path, folder, store, tiny_model, ray_up):
    plan = reduced(path, folder, tiny_model)
    found = run_study(plan, store, lambda progress: None)
    assert found.problems == []
    assert found.runs_made == found.runs > 0
    place = store.root / found.folder
    rows = pq.read_table(place / "results.parquet").num_rows
    assert rows == 2 * len(plan.conditions)
    assert "Published against here" in (place / "report.html").read_text()


def test_the_main_grid_has_sixty_cells(folder, tiny_model):
    plan = reduced(PAPER / "main-grid.toml", folder, tiny_model)
    cells = [(one.task, one.levels["recipe"], one.mix.real) for one in plan.conditions]
    assert len(cells) == 60
    assert {cells.count((task, method, real)) for task in TASKS for method in METHODS
            for real in (0, 10)} == {1}  # fmt: skip


def test_the_main_grid_asks_as_the_paper_does(folder, tiny_model):
    plan = reduced(PAPER / "main-grid.toml", folder, tiny_model)
    pools = [cell.mix.view.pool for cell in plan.cells]
    free = {(pool.task.name, pool.config.strategy) for pool in pools if pool.is_free}
    assert free == {("sst2", "one_shot"), ("sst2", "few_shot")}
    rephrased = {(p.task.name, p.config.strategy) for p in pools if p.call == "rephrase"}
    assert rephrased == {("boolq", name) for name in ("topic", "one_shot", "few_shot")}
    seconds = {p.config.strategy for p in plan.pools if p.call == "second"}
    assert seconds == {"zero_shot", "topic", "one_shot"}
    kinds = {pool.task.wording.topics for pool in plan.topic_pools}
    assert len(kinds) == len(plan.topic_pools) == 3  # of posts, of products, of anything


def test_the_files_agree_in_all_that_is_not_their_own():
    """So that they share pools, and the runs that are the same."""
    documents = [tomllib.loads(path.read_text()) for path in FILES]
    for section in ("generate", "train", "published", "replicates", "repeats"):
        assert len({json.dumps(one[section]) for one in documents}) == 1, section
    assert len({json.dumps(one["factors"]["recipe"]) for one in documents}) == 1


def test_studies_of_the_paper_share_pools_and_runs(folder, tiny_model):
    grid = reduced(PAPER / "main-grid.toml", folder, tiny_model)
    for name in ("raw-amounts", "quantity-curves", "similarity", "steps-or-epochs"):
        other = reduced(PAPER / f"{name}.toml", folder, tiny_model)
        grids = {pool.fingerprint for pool in grid.pools}
        assert {pool.fingerprint for pool in other.pools} <= grids, name


def test_the_page_has_a_line_for_every_published_cell_of_the_grid(folder, store, tiny_model):
    from engine.pipeline import write_results

    plan = reduced(PAPER / "main-grid.toml", folder, tiny_model)
    assert compare(write_results(plan, store)) is not None
