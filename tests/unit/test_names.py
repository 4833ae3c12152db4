"""Names say what they hold: a few that could be anything are bound nowhere in the code."""

import ast

import pytest
from import_graph import modules, room

BANNED = frozenset({"own", "one", "found", "there", "made", "left", "given", "told", "where"})
ROOMS = sorted({room(name) for name in modules()})


def bound(tree):
    """Yield each name that is bound as a whole, with its line: also as a field or an alias."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias | ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            name = node.asname if isinstance(node, ast.alias) else node.name
            yield name or "", getattr(node, "lineno", 0)


def banned(text):
    return [(name, line) for name, line in bound(ast.parse(text)) if name.strip("_") in BANNED]


@pytest.mark.parametrize("place", ROOMS)
def test_no_name_could_be_anything(place):
    paths = [path for name, path in modules().items() if room(name) == place]
    wrong = {path.name: banned(path.read_text(encoding="utf-8")) for path in paths}
    assert {name: names for name, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "one = 1",
        "for found in (): ...",
        "[own for own in ()]",
        "def f(where): ...",
        "def _made(): ...",
        "import json as told",
        "class C:\n    left: int",
        "self._there = 1",
        "if (given := 1): ...",
        "try: ...\nexcept ValueError as found: ...",
    ],
)
def test_one_that_could_is_seen_wherever_it_is_bound(text):
    assert len(banned(text)) == 1


def test_what_only_holds_such_a_word_is_no_such_name():
    assert banned("found_rows = left_to_right = one_shot = x.where(y)") == []
