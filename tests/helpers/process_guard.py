"""Catches whatever starts a process while it is told to watch.

What is started is refused there and then, and noted too: code under test may catch what it raises.
"""

import contextlib
import functools
import multiprocessing.util
import sys

STARTS = {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "os.system"}
_SPAWNED = "multiprocessing.util.spawnv_passfds"  # Python itself has no event for it


class ProcessStartedError(RuntimeError):
    """A process was started where none may be."""


class ProcessGuard:
    """An audit hook; Python never takes one out again, so there is one, and it is switched."""

    def __init__(self):
        self._seen = None  # what was started, while it watches
        self._why = ""
        sys.addaudithook(self._audit)
        multiprocessing.util.spawnv_passfds = _announced(multiprocessing.util.spawnv_passfds)

    @contextlib.contextmanager
    def watching(self, why):
        """Refuse what starts a process; at the end, raise if there was any.

        Args:
            why: What the message says besides.
        """
        outer, own = (self._seen, self._why), []
        self._seen, self._why = own, why
        try:
            yield
        finally:
            self._seen, self._why = outer
        if own:
            raise ProcessStartedError(_message(own[0], why))

    def _audit(self, event, args):
        if self._seen is not None and (event in STARTS or event == _SPAWNED):
            self._seen.append(f"{event} {args[0] if args else ''}".strip())
            raise ProcessStartedError(_message(self._seen[-1], self._why))


def _message(what, why):
    return f"A process was started: {what}. {why}"


def _announced(spawn):
    @functools.wraps(spawn)
    def announce(path, args, passfds):
        sys.audit(_SPAWNED, path)
        return spawn(path, args, passfds)

    return announce


GUARD = ProcessGuard()
