"""The command ``textmill``, run as users run it: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "jobs.cli"]


def environment(**more):
    """Return the environment in which the command finds this checkout and the tests' plug-ins."""
    paths = [str(REPOSITORY), str(REPOSITORY / "tests" / "plugins")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def textmill(*words, folder, **more):
    """Run the command to its end; it joins no Ray but its own."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
