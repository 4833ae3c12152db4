"""Progress for people: bars on a terminal, a line now and then elsewhere."""

import contextlib
import time
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from engine.make.progress import Progress as Done

QUIET_S = 10.0  # between two lines where there is no terminal
UNITS = {"generate": "rows", "curate": "rows", "train": "runs", "diagnose": "views"}
UNITS |= {"mend": "files", "search": "trials"}


@dataclass
class _Stage:
    """A stage that is shown.

    Attributes:
        bar: Its bar.
        first: The first progress with anything done, and when: the rate counts from there.
    """

    bar: TaskID
    first: tuple[Done, float] | None = None


class Screen(contextlib.ExitStack):
    """Shows what ``run_study`` reports; use it as a context manager, and as its watch."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]} {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._spent = Text()
        self._live = (
            Live(Group(self._bars, self._spent), console=console) if (console.is_terminal) else None
        )
        self._stages: dict[str, _Stage] = {}
        self._last_line = time.monotonic()

    @classmethod
    def of_stderr(cls) -> Self:
        """Return one that writes where errors go: what a command prints can be piped on."""
        return cls(Console(stderr=True))

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
            self.callback(self._live.stop)
        return self

    def __call__(self, done: Done) -> None:
        """Show progress."""
        if done.note:
            self._console.print(done.note, markup=False, highlight=False, soft_wrap=True)
        if not done.total:  # a word alone: nothing is to be done
            return
        known = self._stages.get(done.stage)
        if known is None or (done.done == 0 and known.first):
            if known:  # it begins again
                self._bars.remove_task(known.bar)
            bar = self._bars.add_task(done.stage, total=done.total, unit=UNITS[done.stage], rate="")
            self._stages[done.stage] = _Stage(bar)
        stage = self._stages[done.stage]
        if stage.first is None and done.done:  # what starts up before it says nothing of the rest
            stage.first = (done, time.monotonic())
        rate = _rate(stage, done)
        self._bars.update(stage.bar, completed=done.done, total=done.total, rate=rate)
        if done.spent:
            self._spent.plain = done.spent
        if not self._live:
            self._line(stage, done, rate)

    def _line(self, stage: _Stage, done: Done, rate: str) -> None:
        now = time.monotonic()
        if done.done not in (0, done.total) and now - self._last_line < QUIET_S:
            return
        self._last_line = now
        per_s = _per_second(stage, done)
        remaining_s = (done.total - done.done) / per_s[0] if per_s else None
        time_left = f", {remaining_s:,.0f} s left" if remaining_s else ""
        spent = f"; {done.spent}" if done.spent else ""
        line = f"{done.stage}: {done.done:,} of {done.total:,} {UNITS[done.stage]} {rate}"
        line = f"{line.rstrip()}{time_left}{spent}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _rate(stage: _Stage, done: Done) -> str:
    if (per_s := _per_second(stage, done)) is None:
        return ""
    rate = f"{per_s[0]:,.1f}/s"
    return f"{rate}, {per_s[1]:,.0f} tokens/s" if done.tokens else rate


def _per_second(stage: _Stage, done: Done) -> tuple[float, float] | None:
    """Return units and tokens per second since the stage's first ones."""
    if stage.first is None:
        return None
    first, since = stage.first
    seconds = time.monotonic() - since
    if done.done == first.done or seconds < 0.05:
        return None
    return (done.done - first.done) / seconds, (done.tokens - first.tokens) / seconds
