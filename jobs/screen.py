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
        self._started = self._last_line = time.monotonic()

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
            self._stage, self._started = (done.stage, bar), time.monotonic()
        rate = self._rate(done)
        self._bars.update(self._stage[1], completed=done.done, rate=rate)
        if done.note:
            self._console.print(done.note, markup=False, highlight=False, soft_wrap=True)
        if not self._console.is_terminal:
            self._line(done, rate)

    def _rate(self, done: Done) -> str:
        seconds = time.monotonic() - self._started
        if not done.done or seconds < 0.05:
            return ""
        rate = f"{done.done / seconds:,.1f}/s"
        return f"{rate}, {done.tokens / seconds:,.0f} tokens/s" if done.tokens else rate

    def _line(self, done: Done, rate: str) -> None:
        now = time.monotonic()
        if done.done not in (0, done.total) and now - self._last_line < QUIET_S:
            return
        self._last_line = now
        left = (done.total - done.done) * (now - self._started) / done.done if done.done else None
        time_left = f", {left:,.0f} s left" if left else ""
        line = (
            f"{done.stage}: {done.done:,} of {done.total:,} {UNITS[done.stage]} {rate}{time_left}"
        )
        self._console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)
