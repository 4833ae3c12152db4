"""What the code imports: of modules, and of the rooms that they lie in."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.cache
def modules(root=ROOT):
    """Return the modules of the engine and the jobs, by their dotted names."""
    paths = (path for name in ("engine", "jobs") for path in (root / name).rglob("*.py"))
    return {dotted(path.relative_to(root)): path for path in paths}


def dotted(path):
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(path, *, also_for_types=False):
    """Yield what a module imports, also late, and if told to what only type checkers see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types and not also_for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name):
    """Return the room of a module: a folder or a loose file of engine/, or a package of jobs/."""
    parts = name.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else name


def room_graph():
    """Return the rooms, each with those that it imports; examples of plug-ins are none."""
    graph = {}
    for name, path in modules().items():
        if name in ("engine", "jobs") or room(name) == "jobs.studies":
            continue
        known = (one for one in imports(path) if one in modules() and "." in one)
        graph.setdefault(room(name), set()).update(room(one) for one in known)
    return {name: beneath - {name} for name, beneath in graph.items()}


def layers(graph):
    """Return the layer of each room: one above the highest that it imports.

    Raises:
        AssertionError: Rooms import each other in a circle.
    """
    layer, above = {}, []

    def of(name):
        assert name not in above, f"a circle: {' -> '.join([*above, name])}"
        if name not in layer:
            above.append(name)
            layer[name] = 1 + max((of(one) for one in graph[name]), default=0)
            above.pop()
        return layer[name]

    for name in graph:
        of(name)
    return layer


def reached(rooms):
    """Return the modules that rooms of the engine reach, each by one that imports it."""
    by, ahead = {}, [(name, None) for name in modules() if room(name).partition(".")[2] in rooms]
    while ahead:
        name, importer = ahead.pop()
        if name not in by:
            by[name] = importer
            ahead += [(one, name) for one in imports(modules()[name]) if one in modules()]
    return by
