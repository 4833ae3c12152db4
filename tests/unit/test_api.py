"""What plug-in authors may import: what is promised, and that it costs no heavy library."""

import ast
import inspect

import pytest
from command import REPOSITORY

from engine import api, errors
from engine.make.progress import Watch
from engine.tasks.task import Split

HEAVY = ("ray", "torch", "transformers", "vllm", "datasets", "sklearn", "scipy", "matplotlib")
EXAMPLE = REPOSITORY / "jobs" / "studies" / "bike-shop" / "mine.py"


def test_all_lists_every_public_name_once_and_in_order():
    body = ast.parse(inspect.getsource(api)).body
    public = {node.name for node in body if isinstance(node, ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("engine"):
            public |= {alias.asname or alias.name for alias in node.names}
    public = {name for name in public if not name.startswith("_")}
    assert set(api.__all__) == public
    assert api.__all__ == sorted(set(api.__all__))


def test_every_error_is_there():
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert raised <= set(api.__all__)


@pytest.mark.parametrize("name", api.__all__)
def test_every_class_and_function_says_what_it_is(name):
    value = getattr(api, name)
    is_one = inspect.isclass(value) or inspect.isfunction(value)
    assert inspect.getdoc(value) if is_one else value in (Split, Watch)


def loaded(path):
    """Yield what a module imports when it is loaded itself: nothing within functions and types."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef):
            hidden = [one for one in ast.walk(node) if isinstance(one, ast.Import | ast.ImportFrom)]
            assert not hidden or ast.unparse(node.test) == "TYPE_CHECKING", path


def test_nothing_that_it_loads_is_a_heavy_library():
    reached, libraries, ahead = set(), set(), ["engine.api"]
    while ahead:
        name = ahead.pop()
        path = (REPOSITORY / name.replace(".", "/")).with_suffix(".py")
        if not name.startswith("engine"):
            libraries.add(name.partition(".")[0])
        elif name not in reached and path.exists():  # else it is a package, which is empty
            reached.add(name)
            ahead += loaded(path)
    assert {"engine.train.world", "engine.store.store"} <= reached
    assert "pydantic" in libraries
    assert libraries.isdisjoint(HEAVY)


def test_the_example_needs_nothing_else_of_the_engine():
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    sources = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    sources += [
        one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names
    ]
    assert [one for one in sources if one.startswith(("engine", "jobs"))] == ["engine.api"]
