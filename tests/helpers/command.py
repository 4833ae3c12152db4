"""The command ``textmill``, run as users run it: in this process, or in one of its own."""

import contextlib
import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

HELPERS = Path(__file__).parent
REPOSITORY = HELPERS.parent.parent
COMMAND = [sys.executable, "-m", "jobs.cli"]


def environment(*folders, **more):
    """Return the environment in which the command finds this checkout and the tests' plug-ins.

    Args:
        folders: Of the helpers, whose ``sitecustomize`` every Python process then obeys.
        more: Further variables.
    """
    paths = [HELPERS / folder for folder in folders] + [REPOSITORY, HELPERS]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), **more}


def textmill(*words, folder, **more):
    """Run the command to its end in this process: to start another takes seconds.

    Outside ``tests/ray`` no Ray is up in it, and the studies of tests say ``run_on = "here"``.
    """
    from jobs.cli import main

    out, err = io.StringIO(), io.StringIO()
    command = [*COMMAND, *map(str, words)]
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, environment(**more)),
        mock.patch.object(sys, "argv", ["textmill", *command[len(COMMAND) :]]),
        mock.patch.object(logging.root, "handlers", []),  # pytest's; the command adds its own
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def textmill_alone(*words, folder, **more):
    """Run the command to its end in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
