"""The study files of Li et al. 2024, reduced: a stand-in for the LLM, a tiny classifier."""

import json
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toy_study import write_jsonl

from engine.findings.findings import Diagnosis, Findings, TaskFacts
from engine.findings.published.compare import compare
from engine.generate.engine import method_of
from engine.pipeline import run_study
from engine.plan.plan import make_plan
from engine.store.store import Store
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
    return with_rows(tmp_path_factory.mktemp("paper"), ROWS)


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    """The same with as many train rows as the paper has use for."""
    return with_rows(tmp_path_factory.mktemp("whole"), {**ROWS, "train": 1000})


def with_rows(place, counts):
    for name in TASKS:
        task = load_task(name, place)
        labels = list(task.labels)
        for split, count in counts.items():
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


def fewer(listed, amounts):
    listed = listed if isinstance(listed, list) else [listed]
    return [amounts[one] for one in listed] if amounts else listed


def exclusions(document, amounts):
    """Return what a file leaves out, with the amounts of the reduced form, in TOML."""
    tables = []
    for one in document["exclude"]:
        own = {
            name: fewer(to, amounts) if name in ("quantity", "real") else to
            for name, to in one.items()
        }
        tables.append(
            "{" + ", ".join(f"{name} = {json.dumps(to)}" for name, to in own.items()) + "}"
        )
    return f"[{', '.join(tables)}]"


def reduced(path, folder, model, amounts=FEW):
    """Plan a study file with little of everything, or with the amounts that it has."""
    document = tomllib.loads(path.read_text())
    tasks = document["task"] if isinstance(document["task"], list) else [document["task"]]
    factors = document["factors"]
    overrides = [
        f"splits={places(folder, tasks)}",
        "generate.engine=standin:StandIn",
        "generate.topics={write=20}",
        f"factors.quantity={fewer(factors['quantity'], amounts)}",
        f"factors.real={fewer(factors['real'], amounts)}",
        *([f"exclude={exclusions(document, amounts)}"] if "exclude" in document else []),
        f"train.model={json.dumps(str(model))}",
        "train.precision=float32",
        "replicates=1",
        "repeats=1",
        "resources.fleet=1",
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


LONG = {"main-grid", "raw-amounts", "steps-or-epochs"}  # whose parts others have in common


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.long] if path.stem in LONG else [], id=path.stem)
        for path in FILES
    ],
)
def test_every_study_of_the_paper_runs_to_its_report(path, folder, store, tiny_model, ray_up):
    plan = reduced(path, folder, tiny_model)
    found = run_study(plan, store, lambda progress: None)
    assert found.problems == []
    assert found.runs_made == found.runs > 0
    place = Path(store.root) / found.folder
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


def scored(plan):
    """Return what a report would be made from, had all of a study been done: scores are made up."""
    results, diagnostics = [], []
    for number, one in enumerate(plan.conditions):
        known_by = {
            "task": one.task,
            "method": method_of(one.generate),
            "is_rephrased": bool(one.generate and one.generate.rephrase),
        }
        own = {"quantity": one.mix.quantity, "real": one.mix.real}
        own |= {"rows_synthetic": one.mix.quantity, "rows_real": one.mix.real}
        score = 0.5 + number / 1000
        results += [
            {
                **{name: one.levels[name] for name in plan.file.study.varied},
                **known_by, **own, "rows_real_seen": one.mix.real, "replicate": 0, "repeat": 0,
                "split": split, "accuracy": score, "macro_f1": score, "steps_done": 300,
                "train_seconds": 1.0, "pool": "pools/x", "run": f"runs/{number}",
            }
            for split in ("validation", "test")
        ]  # fmt: skip
        if one.mix.quantity and not one.mix.real:
            diagnostics.append(
                Diagnosis(f"view {number}", *known_by.values(), 0, 1000, 0.5, 0.4, 7)
            )
    real = [Diagnosis("real rows", task, None, False, 0, 1000, 0.5, None, 3) for task in TASKS]
    return Findings(
        name="x", tasks={name: TaskFacts(list(task.labels), {}) for name, task in
        plan.file.tasks.items()}, factors=plan.file.study.varied, results=results, sources=[],
        repeats=1, replicates=1, runs=len(plan.conditions), problems=[], settings={}, recipe={},
        caveat="", drawless=[], published=plan.published, diagnostics=[*diagnostics, *real],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "group", "lines"),
    [
        ("main-grid", "Figure 2", [60]),
        ("raw-amounts", "Figure 3", [24]),
        ("quantity-curves", "Figure 5", [48]),
        ("similarity", "Figure 4", [30, 30]),
        ("boolq-bias", "Table 3", [19, 10]),
    ],
)
def test_the_page_of_the_whole_study_has_every_number_of_its_figure(
    whole_folder, tiny_model, name, group, lines
):
    plan = reduced(PAPER / f"{name}.toml", whole_folder, tiny_model, amounts=None)
    tables = [one for one in compare(scored(plan)).tables if one.group.title.startswith(group)]
    assert [one.shown for one in tables] == [len(one.group.cells) for one in tables] == lines
    for table in tables:
        shown = {json.dumps(line.cell.model_dump()) for line in table.lines}
        assert len(shown) == table.shown
