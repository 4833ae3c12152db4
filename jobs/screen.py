"""Progress for people: bars on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from engine.pipeline import Progress as Done

QUIET_S = 10.0  # between two lines where there is no terminal
UNITS = {"generate": "rows", "curate": "labels", "train": "runs", "mend": "files"}


class Screen:
    """Shows what ``run_study`` reports; use it as a context manager, and as its watch."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]} {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._stage: tuple[str, TaskID] | None = None
        self._first: tuple[Done, float] | None = None  # the rate counts from there
        self._last_line = time.monotonic()

    def __enter__(self) -> "Screen":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, done: Done) -> None:
        """Show progress."""
        if self._stage is None or done.done == 0 or self._stage[0] != done.stage:
            bar = self._bars.add_task(done.stage, total=done.total, unit=UNITS[done.stage], rate="")
            self._stage, self._first = (done.stage, bar), None
        if self._first is None and done.done:  # what starts up before it says nothing of the rest
            self._first = (done, time.monotonic())
        rate = self._rate(done)
        self._bars.update(self._stage[1], completed=done.done, rate=rate)
        if done.note:
            self._console.print(done.note, markup=False, highlight=False, soft_wrap=True)
        if not self._console.is_terminal:
            self._line(done, rate)

    def _rate(self, done: Done) -> str:
        if (per_s := self._per_second(done)) is None:
            return ""
        rate = f"{per_s[0]:,.1f}/s"
        return f"{rate}, {per_s[1]:,.0f} tokens/s" if done.tokens else rate

    def _per_second(self, done: Done) -> tuple[float, float] | None:
        """Return units and tokens per second since the stage's first ones."""
        if self._first is None:
            return None
        first, since = self._first
        seconds = time.monotonic() - since
        if done.done == first.done or seconds < 0.05:
            return None
        return (done.done - first.done) / seconds, (done.tokens - first.tokens) / seconds

    def _line(self, done: Done, rate: str) -> None:
        now = time.monotonic()
        if done.done not in (0, done.total) and now - self._last_line < QUIET_S:
            return
        self._last_line = now
        per_s = self._per_second(done)
        left = (done.total - done.done) / per_s[0] if per_s else None
        time_left = f", {left:,.0f} s left" if left else ""
        line = (
            f"{done.stage}: {done.done:,} of {done.total:,} {UNITS[done.stage]} {rate}{time_left}"
        )
        self._console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)
