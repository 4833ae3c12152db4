"""How much memory processes take together, at most."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

PROC = Path("/proc")
EVERY_S = 1.0
GROWN = 1.02  # looking closely takes tens of ms of a core: it is done when the plain sum has grown


class ChildrenPeak(contextlib.ExitStack):
    """Watches the memory of all processes below this one while the body runs (Linux).

    A page that several processes share counts once: each gets its share of it (PSS). Processes of
    a Ray that was up before, or that runs elsewhere, are not below this one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._peak_kib = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.callback(self._end)
        return self

    def _end(self) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def mib(self) -> int | None:
        """The largest sum that was seen; None where there is no /proc."""
        return round(self._peak_kib / 2**10) if self._peak_kib else None

    def _watch(self) -> None:
        most = 0
        while not self._is_over.wait(EVERY_S):
            pids = list(_below(os.getpid()))
            if (pages := sum(map(_pages, pids))) > GROWN * most:
                most = pages
                self._peak_kib = max(self._peak_kib, sum(map(_kib, pids)))


def memory_mib() -> float:
    """Return what this process and all below it take together; see ``ChildrenPeak``."""
    return sum(map(_kib, [os.getpid(), *_below(os.getpid())])) / 2**10


def _below(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that they have, and so on."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # it has ended meanwhile
            # after the command's name, which may hold anything, come its state and its parent
            parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(folder.name))
    unvisited = list(children.get(pid, []))
    while unvisited:
        child = unvisited.pop()
        yield child
        unvisited += children.get(child, [])


def _pages(pid: int) -> int:
    """Return a process's resident pages, shared or not."""
    with contextlib.suppress(OSError):
        return int((PROC / str(pid) / "statm").read_text().split()[1])
    return 0


def _kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
