"""Engines that break, each in its own way: ``breaking_engines:Name``.

``generate.engine_args.folder`` names a folder in which they note what happens to them.
"""

import itertools
import os
import threading
import time
from pathlib import Path

from user_plugins import Slow

from engine.errors import EngineLostError

DIES_AT = 100  # prompts asked


class Noting(Slow):
    """Answers each prompt, and notes its process and the prompts that it is asked."""

    reads = starts_with = frozenset({"engine_args"})

    def __init__(self, setup):
        self.folder = Path(setup.config.engine_args["folder"])
        note(self.folder / "starts", os.getpid())

    def complete(self, prompts):
        for prompt in prompts:
            note(self.folder / "asked", prompt.row)
            yield from super().complete([prompt])


class Unready(Noting):
    """Does not get ready."""

    def __init__(self, setup):
        super().__init__(setup)
        time.sleep(3600)


class LostOnce(Noting):
    """Is lost at its first hundredth prompt."""

    def complete(self, prompts):
        for answer in super().complete(prompts):
            if happens_once(self.folder):
                raise EngineLostError("the wire was cut")
            yield answer


class DiesOnce(Noting):
    """Ends its process at its first hundredth prompt, without a word."""

    runs_apart = True

    def complete(self, prompts):
        for answer in super().complete(prompts):
            if happens_once(self.folder):
                os._exit(9)
            yield answer


class DiesOnceAmongMany(DiesOnce):
    """The same, in the midst of several calls at a time."""

    is_concurrent = True


class Forgetting(Noting):
    """Leaves the last prompt of a call unanswered."""

    def complete(self, prompts):
        yield from list(super().complete(prompts))[:-1]


class HopelessAtStart(Noting):
    """Says at its start that another in its place could do no better."""

    def __init__(self, setup):
        super().__init__(setup)
        raise EngineLostError("the key is not accepted", is_for_good=True)


class HopelessWhenAsked(Noting):
    """Says so when it is asked."""

    def complete(self, prompts):
        raise EngineLostError("the key is not accepted", is_for_good=True)
        yield


class Meeting(Noting):
    """Answers once three engines have started, if they ever are up at a time."""

    def complete(self, prompts):
        for _ in range(600):
            if len(alive(self.folder)) == 3:
                note(self.folder / "met", os.getpid())
            if (self.folder / "met").exists():
                break
            time.sleep(0.1)
        yield from super().complete(prompts)


_turns = itertools.count(1)
_lock = threading.Lock()


def happens_once(folder):
    """Say whether this is the moment: the first process's hundredth time."""
    with _lock:
        return next(_turns) == DIES_AT and len(notes(folder / "starts")) == 1


def note(path, line):
    """Add a line to a file, whole, whoever else does."""
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def notes(path):
    """Return a file's lines; none if it is not there."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def alive(folder):
    """Return the processes that started engines and have not ended."""
    return [pid for pid in notes(folder / "starts") if is_alive(pid)]


def is_alive(pid):
    """Say whether a process runs: one that has ended may wait for its parent to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
