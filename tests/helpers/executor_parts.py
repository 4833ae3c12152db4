"""What the contract tests of executors have done: in whatever process that is."""

import asyncio
import os
import signal
import time
from pathlib import Path

from user_plugins import Guess

from engine.errors import DamagedError
from engine.nodes.here import computing_with


class Counter:
    """A service whose methods take a while between reading and writing."""

    def __init__(self, first):
        self.count = first

    def add(self, number):
        seen = self.count
        time.sleep(0.001)
        self.count = seen + number
        return self.count

    def fail(self):
        raise DamagedError("runs/a.json", "it is cut short")


class Gate:
    """A service of which one call waits for another."""

    def __init__(self):
        self.changed = asyncio.Condition()
        self.is_open = False

    async def wait(self):
        async with self.changed:
            await self.changed.wait_for(lambda: self.is_open)
            return "through"

    async def open(self):
        async with self.changed:
            self.is_open = True
            self.changed.notify_all()


def add_often(service, times):
    for _ in range(times):
        service.call("add", 1)
    return os.getpid()


def double(number):
    if number < 0:
        raise DamagedError("runs/a.json", "it is cut short")
    time.sleep(0.01 * number)
    return 2 * number


def check_threads():
    """Raise unless torch, which is loaded only within, computes with the threads asked for."""
    os.environ["OMP_NUM_THREADS"] = "2"
    with computing_with(1):
        import torch

        assert torch.get_num_threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == "2"


class DiesOnce(Guess):
    """A trainer whose process is killed at its first run."""

    def train(self, run, rows, scored, how):
        mark = Path(run.model.place) / "killed"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train(run, rows, scored, how)


class DiesAt10(Guess):
    """A trainer whose process is killed by every training set of ten rows."""

    def train(self, run, rows, scored, how):
        if len(rows.examples) == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train(run, rows, scored, how)
