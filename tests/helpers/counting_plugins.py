"""Plug-ins that note what they begin, ``counting_plugins:Name``: a line has the process, and what.

The environment names the file.
"""

import os
from pathlib import Path

from user_plugins import Slow

from engine.train.trainers.finetune import Finetune


def note(variable, what):
    """Add a line to a file."""
    with Path(os.environ[variable]).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {what}\n")


class Engine(Slow):
    """Answers each prompt; the environment's STARTED names the file."""

    def __init__(self, setup):
        note("STARTED", "engine")


class Training(Finetune):
    """Trains a classifier; the environment's TRAINED names the file."""

    def train(self, run, rows, scored, how):
        note("TRAINED", run.name)
        return super().train(run, rows, scored, how)
