"""What the study files of Li et al. 2024 ask for, and where its numbers stand on the page."""

import json
import tomllib

import pytest
from paper_studies import FILES, METHODS, PAPER, ROWS, TASKS, reduced, with_rows

from engine.findings.findings import Diagnosis, Findings, TaskFacts
from engine.findings.published.compare import compare
from engine.generate.engine import method_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a few made-up rows for each of the six tasks."""
    return with_rows(tmp_path_factory.mktemp("paper"), ROWS)


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    """The same with as many train rows as the paper has use for."""
    return with_rows(tmp_path_factory.mktemp("whole"), {**ROWS, "train": 1000})


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
