"""What plug-in authors may import: what is promised, and that it costs no heavy library."""

import ast
import inspect
import subprocess
import sys

import pytest
from command import REPOSITORY, environment

from engine import api, errors
from engine.tasks.task import Split

HEAVY = ("ray", "torch", "transformers", "vllm", "datasets", "sklearn", "scipy", "matplotlib")
EXAMPLE = REPOSITORY / "jobs" / "studies" / "bike-shop" / "mine.py"


def test_all_lists_every_public_name_once_and_in_order():
    public = {
        name
        for name, value in vars(api).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
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
    assert inspect.getdoc(value) if is_one else value == Split


def test_importing_it_loads_no_heavy_library():
    program = f"import sys, engine.api; print([one for one in {HEAVY} if one in sys.modules])"
    outcome = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome.stdout == "[]\n"


def test_the_example_needs_nothing_else_of_the_engine():
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    sources = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    sources += [
        one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names
    ]
    assert [one for one in sources if one.startswith(("engine", "jobs"))] == ["engine.api"]
