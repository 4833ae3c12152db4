"""Plug-ins that note the node that they work on, a line each: ``node_plugins:Name``."""

import os
import time
from pathlib import Path

from user_plugins import Slow

from engine.train.trainers.finetune import Finetune


class Engine(Slow):
    """Answers each prompt after a moment; the environment's ASKED names the file."""

    def complete(self, prompts):
        for answer in super().complete(prompts):
            note("ASKED")
            time.sleep(float(os.environ.get("PAUSE", "0")))
            yield answer


class Training(Finetune):
    """Trains a classifier; the environment's TRAINED names the file."""

    def train(self, run, rows, scored, how):
        note("TRAINED")
        return super().train(run, rows, scored, how)


def note(variable):
    """Add the id of this process's node to a file."""
    import ray

    with Path(os.environ[variable]).open("a", encoding="utf-8") as file:
        file.write(f"{ray.get_runtime_context().get_node_id()}\n")
