"""Data goes one way: a module imports only what stands to its left in the flow."""

import ast
import re
from pathlib import Path

import engine

ROOT = Path(__file__).parents[2]
README = (ROOT / "engine" / "README.md").read_text(encoding="utf-8")


def rooms(page):
    """Return the band of each file and folder of the engine, in the order of the layers."""
    table = page.split("<!-- rooms -->", 1)[1].split("<!-- /rooms -->", 1)[0]
    rows = re.findall(r"^\| (\w+) \| `([\w.]+)/?` \| \S.* \|$", table, re.MULTILINE)
    assert len(rows) == len(table.strip().splitlines()) - 2, "a row of the table is no room's"
    return {name.removesuffix(".py"): band for band, name in rows}


ROOMS = rooms(README)
ORDER = list(ROOMS)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def backward_imports(folder):
    """Return what imports against the flow below ``folder``, and what the flow does not list."""
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        own = path.relative_to(folder).with_suffix("").parts[0]
        if own == "__init__":
            continue
        if own not in ORDER:
            wrong.append(f"{own} is not in the flow")
            continue
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "jobs":
                wrong.append(f"{path.name} imports {name}")
            is_ours = parts[0] == "engine" and len(parts) > 1
            if is_ours and ORDER.index(parts[1]) > ORDER.index(own):
                wrong.append(f"{path.relative_to(folder)} imports {name}")
    return wrong


def test_imports_follow_the_flow():
    assert backward_imports(ROOT / "engine") == []


def test_a_backward_import_is_caught(tmp_path):
    (tmp_path / "mix").mkdir()
    for line in (
        "from engine.train.trainers.loop import train",
        "from engine import train, schema",
    ):
        (tmp_path / "mix" / "stage.py").write_text(line + "\n")
        assert backward_imports(tmp_path)[0].startswith("mix/stage.py imports engine.train")


def test_every_part_of_the_engine_stands_in_the_flow():
    there = (path for path in (ROOT / "engine").iterdir() if not path.name.startswith("_"))
    assert sorted(path.stem for path in there if path.suffix != ".md") == sorted(ORDER)


def test_the_bands_stand_in_order():
    assert list(dict.fromkeys(ROOMS.values())) == ["ground", "words", "work", "whole"]
    assert sorted(ROOMS.values(), key=list(ROOMS.values()).index) == list(ROOMS.values())
    assert ORDER[-1] == "api"


def test_the_code_under_test_is_this_checkout():
    assert Path(engine.__file__).parent == ROOT / "engine"
