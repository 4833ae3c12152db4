"""The tiers of the tests themselves: what belongs where, and what happens to what does not."""

import subprocess
import sys

from command import REPOSITORY, environment

STRAYED = """
import contextlib, subprocess, sys
import pytest

def start():
    with contextlib.suppress(Exception):
        subprocess.run([sys.executable, "-c", ""])

@pytest.fixture
def started():
    start()

@pytest.fixture
def ending():
    yield
    start()

def test_in_its_setup(started): pass
def test_in_itself(): start()
def test_in_its_teardown(ending): pass
def test_not_at_all(): pass
"""


def collected(*words):
    """Return how many tests of each tier pytest would run."""
    words = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n0", *words]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    counts = {}
    for line in done.stdout.splitlines():
        path, _, count = line.partition(": ")
        if path.startswith("tests/"):
            tier = path.split("/")[1]
            counts[tier] = counts.get(tier, 0) + int(count)
    return counts


def test_a_unit_test_that_starts_a_process_fails_and_says_where_it_belongs(tmp_path):
    guard = REPOSITORY / "tests" / "unit" / "conftest.py"
    (tmp_path / "conftest.py").write_text(guard.read_text(encoding="utf-8"))
    (tmp_path / "test_strayed.py").write_text(STRAYED)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rfE"]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    # what fails when it ends has passed before
    assert "1 failed, 2 passed, 2 errors" in done.stdout
    assert done.stdout.count("belongs to tests/ray") >= 3


def test_pytest_by_itself_runs_every_tier_and_a_folder_is_a_marker_too():
    every, marked = collected(), collected("-m", "unit or faults")
    assert set(every) == {"unit", "ray", "flow", "faults", "cluster"}
    assert every["unit"] > 1900
    assert marked == {tier: every[tier] for tier in ("unit", "faults")}
