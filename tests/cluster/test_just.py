"""The file of recipes for whoever works on textmill, and that pages name no others."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from command import REPOSITORY

GUIDE = (REPOSITORY / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = {"setup", "check", "fix", "test", "test-all", "test-changed", "test-long", "bench"}


BESIDE_PYTHON = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def just(*words):
    command = [shutil.which("just", path=BESIDE_PYTHON), "--justfile", ".justfile", *words]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_just_reads_its_file_and_tells_of_every_recipe():
    outcome = just("--list")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert len([line for line in outcome.stdout.splitlines() if " # " in line]) == len(RECIPES)
    assert set(just("--summary").stdout.split()) == RECIPES


def test_its_file_is_formatted():
    outcome = just("--fmt", "--check", "--unstable")
    assert outcome.returncode == 0, outcome.stdout


def test_the_guide_names_recipes_that_are_there():
    named = set(re.findall(r"(?:`|&& |^)just ([a-z][a-z-]*)", GUIDE, re.MULTILINE))
    assert {"check", "test", "test-all", "test-long", "fix"} <= named <= RECIPES


def test_a_measurement_is_given_its_name_and_options():
    outcome = just("--dry-run", "bench", "curate", "--rows", "10")
    assert outcome.stderr.strip() == "textmill bench curate --rows 10"
