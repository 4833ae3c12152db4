"""A process of its own for what may hang or crash, or wants cores for itself; without Ray.

It is told what to do through a pipe, and ends when that does: with the process that started it,
whatever that one dies of.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

ORPHANED = 3  # exit status of a process whose parent is gone
LOG_BYTES = 2000  # of the end of what a process said, which tell why it died


class Apart:
    """A process that calls a function, and then ends.

    Args:
        function: A function at the top of a module.
        args: What it is called with.
        threads: Threads that libraries compute with.
    """

    def __init__(self, function: Callable[..., object], *args: object, threads: int = 1) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives
        ear, self._mouth = Pipe(duplex=False)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.nodes.apart", str(ear.fileno())],
            pass_fds=[ear.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            # "": a script's folder, too, may hold plug-ins
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
                "OMP_NUM_THREADS": str(threads),
            },
            start_new_session=True,  # Ctrl-C is for the command, which ends this one
        )
        ear.close()
        with contextlib.suppress(BrokenPipeError):  # it has died already, as ``wait`` will tell
            self._mouth.send((function, args))

    def wait(self) -> str:
        """Wait until it ends; return why it died, or an empty string."""
        status = self._process.wait()
        self._mouth.close()
        if status == 0:
            return ""
        how = f"signal {-status}" if status < 0 else f"status {status}"
        last = self._last_line()
        return f"its process ended with {how}{f': {last}' if last else ''}"

    def kill(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()

    def _last_line(self) -> str:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - LOG_BYTES))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def _end_with_parent(ear: "Connection[Any, Any]") -> None:
    with contextlib.suppress(EOFError, OSError):
        ear.recv()  # nothing more is ever said: it ends with whoever holds the other end
    os._exit(ORPHANED)


def main() -> None:
    """Do what the process says that started this one."""
    ear: Connection[Any, Any] = Connection(int(sys.argv[1]), writable=False)
    function, args = ear.recv()
    threading.Thread(target=_end_with_parent, args=(ear,), daemon=True).start()
    function(*args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of libraries must not keep it


if __name__ == "__main__":
    main()
