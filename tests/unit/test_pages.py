"""Every page of the repository: its examples are read, its links lead somewhere, it is no book."""

import ast
import csv
import importlib.util
import json
import re
import shlex
import tomllib

import pytest
from command import REPOSITORY
from toy_study import TASK, toy_rows, write_jsonl

from engine.plan.plan import READERS, make_plan
from engine.search.search import prepare
from engine.search.space import Space
from engine.study.factors import conditions
from engine.study.load import load_study
from engine.tasks.task import load_task

PARTS = (".github", "engine", "jobs", "cluster", "tests")
NO_PAGES = {"expected", "textmill-out", ".pytest_cache"}  # of tests, of commands, of tools
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for part in ("*.md", *(f"{name}/**/*.md" for name in PARTS))
    for path in REPOSITORY.glob(part)
    if not NO_PAGES & set(path.relative_to(REPOSITORY).parts)
)
TASKS, LLM, SEARCH = "engine/tasks/README.md", "README.md", "engine/search/README.md"
MOST_LINES = {"README.md": 150}
OTHERS = 250
# files that only readers have
THEIRS = {"study.toml", "task.toml", "my-study.toml", "search.toml", "best.toml"}


def text_of(page):
    return (REPOSITORY / page).read_text(encoding="utf-8")


def blocks(page, language):
    """Return the fenced blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


def prose(page):
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def spans(page):
    """Return what stands in code within a page's sentences and tables."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def anchors(page):
    """Return what links to a page's headings can say behind their ``#``."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def links():
    """Yield each link of a page that leads to no other site."""
    for page in PAGES:
        found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
        found += re.findall(r"(?:src|href)=\"([^\"]+)\"", prose(page))
        for link in found:
            if "://" not in link:
                yield page, link


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page):
    assert text_of(page).count("\n") <= MOST_LINES.get(page, OTHERS)


@pytest.mark.parametrize(("page", "link"), list(links()))
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page, link):
    name, _, heading = link.partition("#")
    target = (REPOSITORY / page).parent / name if name else REPOSITORY / page
    assert target.exists()
    assert target.resolve().is_relative_to(REPOSITORY)
    if heading:
        assert heading in anchors(target.resolve().relative_to(REPOSITORY).as_posix())


def named_files():
    """Yield each file of ours that a page names in code; tests are named without their folder."""
    for page in PAGES:
        if page != "CHANGELOG.md":
            for span in spans(page):
                if re.fullmatch(r"[\w./-]+\.(py|toml|sh|yaml|jinja)", span) and span not in THEIRS:
                    yield page, span


@pytest.mark.parametrize(("page", "name"), sorted(set(named_files())))
def test_a_file_that_a_page_names_is_there(page, name):
    folder, part = (REPOSITORY / page).parent, page.partition("/")[0]
    tops = {".github": "engine"}
    top = REPOSITORY / ("tests" if name.startswith("test_") else tops.get(part, part))
    beside = (folder / name, REPOSITORY / name)
    assert any(path.exists() for path in beside) or ("/" not in name and any(top.rglob(name)))


def test_no_page_is_overlooked():
    assert {"README.md", "CHANGELOG.md", ".github/CONTRIBUTING.md", "cluster/README.md"} <= {*PAGES}
    assert len(PAGES) >= 30


def test_every_room_has_its_page():
    for part in ("engine", "jobs"):
        rooms = [path.parent for path in (REPOSITORY / part).glob("*/__init__.py")]
        assert len(rooms) > 3
        for room in [REPOSITORY / part, *rooms]:
            assert f"{room.relative_to(REPOSITORY).as_posix()}/README.md" in PAGES


def test_every_page_can_be_reached_from_the_first():
    reached, ahead = set(), ["README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            folder = (REPOSITORY / page).parent
            for own, link in links():
                target = (folder / link.partition("#")[0]).resolve()
                if own == page and target.suffix == ".md":
                    ahead.append(target.relative_to(REPOSITORY).as_posix())
    rooms = {page for page in PAGES if re.match(r"(engine|jobs)/\w+/README.md", page)}
    assert {*PAGES} - reached - rooms <= {"CHANGELOG.md"}


@pytest.fixture
def folder(tmp_path):
    """A folder with a task, and what studies on pages name beside it."""
    (tmp_path / "task.toml").write_text(TASK)
    for name in ("train", "validation", "test", "synthetic"):
        write_jsonl(tmp_path / f"{name}.jsonl", toy_rows(20))
    return tmp_path


EXAMPLES = [(page, block) for page in PAGES for block in blocks(page, "toml")]


@pytest.mark.parametrize(
    ("page", "block"), EXAMPLES, ids=[f"{page}-{at}" for at, (page, _) in enumerate(EXAMPLES)]
)
def test_a_toml_example_is_a_task_a_study_or_a_piece_of_one(page, block, folder):
    document = tomllib.loads(block)
    if "labels" in document:
        (folder / "own.toml").write_text(block)
        assert load_task("own.toml", folder).labels == document["labels"]
        return
    if not {"name", "task"} <= document.keys():
        block = f'name = "piece"\ntask = "task.toml"\n{block}'
    (folder / "study.toml").write_text(block)
    file = load_study(folder / "study.toml")
    assert Space(file).dimensions if file.study.has_ranges else conditions(file, READERS)


def test_every_block_is_of_a_kind_that_is_looked_at():
    for page in PAGES:
        opened = re.findall(r"^```(\w*)\n.*?^```$", text_of(page), re.MULTILINE | re.DOTALL)
        assert text_of(page).count("\n```") == 2 * len(opened)
        assert {*opened} <= {"", "toml", "bash", "json", "python"}  # "" is for drawings
        for block in blocks(page, "json"):
            assert all(json.loads(line) for line in block.splitlines())
        for block in blocks(page, "python"):  # it is run in test_study_script
            assert page == "engine/README.md"
            assert ast.parse(block)


def python_modules():
    for page in PAGES:
        lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
        for line in [*lines, *spans(page)]:
            if line.startswith("python -m "):
                yield page, shlex.split(line, comments=True)[2]


@pytest.mark.parametrize(("page", "module"), sorted(set(python_modules())))
def test_a_module_that_is_run_is_there(page, module):
    assert importlib.util.find_spec(module)


def test_each_step_of_the_walk_is_in_the_code():
    walk = prose("engine/README.md").split("## One row,", 1)[1].split("\n## ", 1)[0]
    items = re.split(r"^\d+\. ", walk, flags=re.MULTILINE)[1:]
    assert len(items) >= 10
    defined = set()
    for item in items:
        named = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", item)]
        for file in (span for span in named if re.fullmatch(r"[\w/]+\.py", span)):
            defined |= definitions(REPOSITORY / "engine" / file)
        names = [span for span in named if re.fullmatch(r"\w+(\.\w+)?", span)]
        assert names
        assert {*names} <= defined | {"jobs"}


def definitions(path):
    """Return the names of a module's functions, classes and methods, these with and without it."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= {method.name, f"{node.name}.{method.name}"}
    return found


@pytest.fixture
def first(tmp_path):
    """A folder with the study and the task of one's own rows that a page shows, and rows."""
    study, task = blocks(TASKS, "toml")
    (tmp_path / "study.toml").write_text(study)
    (tmp_path / "task.toml").write_text(task)
    write_jsonl(tmp_path / "train.jsonl", toy_rows(400))
    write_jsonl(tmp_path / "synthetic.jsonl", toy_rows(400, start=3000))
    with (tmp_path / "test.csv").open("w", newline="") as file:
        stars = {"bad": "1", "good": "5"}
        rows = [(row["text"], stars[row["label"]]) for row in toy_rows(20, start=2000)]
        csv.writer(file).writerows([("review", "stars"), *rows])
    return tmp_path


def test_the_study_of_ones_own_rows_can_be_planned(first):
    plan = make_plan(load_study(first / "study.toml"))
    assert len(plan.conditions) == 5
    assert {split: rows.table.num_rows for split, rows in plan.gold["reviews"].items()} == {
        "train": 200,
        "validation": 200,
        "test": 20,
    }


def test_the_study_with_an_llm_and_its_baseline_are_read(first):
    (study,) = blocks(LLM, "toml")
    (baseline,) = [one for one in blocks("engine/study/README.md", "toml") if "[baseline]" in one]
    (first / "llm.toml").write_text(study)
    (first / "both.toml").write_text(study + baseline)
    assert load_study(first / "llm.toml").study.baseline is None
    assert load_study(first / "both.toml").study.baseline.shots == [0, 3]


def test_the_search_has_the_trials_and_rungs_that_it_shows(first):
    (study,) = blocks(SEARCH, "toml")
    (first / "search.toml").write_text(study)
    space = Space(load_study(first / "search.toml"))
    assert space.rungs == [100, 300, 900]
    assert any("shots" in point for point in space.cover())
    assert space.starts == [{"strategy": "zero_shot", "temperature": 1.0}]


def test_the_demo_search_can_begin():
    file, space, _ = prepare(load_study(REPOSITORY / "jobs" / "studies" / "demo-search.toml"))
    assert len(space.dimensions) >= 5
    assert file.study.search.max_trials == 30
