"""Runs the tests that a change can touch: those that import, through whatever else, what changed.

    python tests/helpers/changed.py [--since REVISION] [--all] [--list] [words for pytest]

What changed is what differs from a revision, ``main`` unless told, committed or not. Tests of whole
commands (``tests/flow`` and ``tests/faults``) are touched by nearly all, and run with ``--all``.
"""

import argparse
import ast
import functools
import re
import subprocess
import sys

from import_graph import ROOT, imports, modules

TESTS = ROOT / "tests"
HELPERS = TESTS / "helpers"
WHOLE = ("flow", "faults")  # tiers of whole commands
PAGES = "tests/unit/test_pages.py"
PLUG_IN = re.compile(r"([A-Za-z_][\w.]*):[A-Z]\w*")  # as tables of plug-ins and studies name one


@functools.cache
def sources():
    """Return every module that a test can import, by the name by which it does."""
    return modules() | {path.stem: path for path in sorted(HELPERS.glob("*.py"))}


@functools.cache
def files_of_tests():
    """Return the files that have tests."""
    return sorted(TESTS.rglob("test_*.py"))


@functools.cache
def needs(path):
    """Return the files that a Python file imports, or names as plug-ins."""
    names = set(imports(path))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(PLUG_IN.findall(node.value))
    found = {sources()[name] for name in names if name in sources()}
    if path == HELPERS / "import_graph.py":  # whoever asks it reads them all
        found |= set(modules().values())
    return found


@functools.cache
def reached(path):
    """Return all files on which a test's file rests, itself among them."""
    found, ahead = set(), [path, *conftests(path)]
    while ahead:
        file = ahead.pop()
        if file not in found:
            found.add(file)
            ahead += needs(file)
    return frozenset(found)


def conftests(path):
    """Return what pytest loads for a test's file."""
    folders = [folder for folder in path.parents if folder.is_relative_to(TESTS)]
    return [folder / "conftest.py" for folder in folders if (folder / "conftest.py").exists()]


def touched(changes, *, every=False):
    """Return the test files that some changes can touch.

    Args:
        changes: Files, relative to the repository; they may be gone.
        every: Whether those of whole commands are wanted, too.
    """
    wanted = set()
    for name in changes:
        wanted |= _touched_by(ROOT / name)
    chosen = [path.relative_to(ROOT).as_posix() for path in files_of_tests() if path in wanted]
    return [name for name in chosen if every or name.split("/")[1] not in WHOLE]


def _touched_by(path):
    if path == ROOT / "pyproject.toml":  # what is installed, and how tests are run
        return set(files_of_tests())
    found = {test for test in files_of_tests() if path in reached(test) or _names(test, path)}
    if path.suffix == ".md":
        return found | {ROOT / PAGES}
    if path.is_relative_to(ROOT / "cluster"):
        return found | {test for test in files_of_tests() if test.is_relative_to(TESTS / "cluster")}
    if path.suffix != ".py":  # what is no code is read by the code beside it, or above
        beside = {file for file in sources().values() if file.parent in path.parents}
        nearest = max((len(file.parts) for file in beside), default=0)
        beside = {file for file in beside if len(file.parts) == nearest}
        return found | {test for test in files_of_tests() if beside & reached(test)}
    return found


def _names(test, path):
    """Say whether a test names a file that it does not import, but reads or runs."""
    if path.suffix == ".py" and path.stem != "sitecustomize":
        return False
    named = (
        path.parent if path.suffix == ".py" else path
    )  # of the former the folder is put on a path
    return named.name in test.read_text(encoding="utf-8")


def changed(since):
    """Return the files that differ from a revision, relative to the repository."""
    differ = ["git", "diff", "--name-only", "--merge-base", since]
    new = ["git", "ls-files", "--others", "--exclude-standard"]
    said = [
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for words in (differ, new)
    ]
    return sorted({*"".join(said).splitlines()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--since", default="main", help="the revision to compare with")
    parser.add_argument("--all", action="store_true", help="also tests of whole commands")
    parser.add_argument("--list", action="store_true", help="say which, and run none")
    asked, words = parser.parse_known_args()
    changes = changed(asked.since)
    chosen, every = touched(changes), touched(changes, every=True)
    whole = len(every) - len(chosen)
    print(
        f"{len(changes)} files differ from {asked.since}, and can touch {len(every)} of "
        f"{len(files_of_tests())} files of tests, {whole} of them of whole commands (--all)."
    )
    for name in (chosen := every if asked.all else chosen):
        print(f"  {name}")
    if asked.list or not chosen:
        return 0
    return subprocess.run([sys.executable, "-m", "pytest", *chosen, *words], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
