"""Shell scripts, by a checker that knows their pitfalls."""

import subprocess

import pytest
from command import REPOSITORY

SCRIPTS = [".ci/run", *(f"cluster/{path.name}" for path in (REPOSITORY / "cluster").glob("*.sh"))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_has_none_of_the_known_faults(script):
    done = subprocess.run(
        ["shellcheck", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_script_says_how_it_is_used():
    script = REPOSITORY / "cluster" / "local-head.sh"
    done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "local-head.sh start [FOLDER]" in done.stderr
