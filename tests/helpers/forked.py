"""The command in processes that are forked from one which has loaded what it needs.

To load that takes seconds each time, and to fork a process does not. It is a process like any
other: it can be killed, paused and interrupted, whatever it is at.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import psutil
from command import environment

LIMIT_S = 600  # of a command, beside whatever else the machine does


class Command:
    """A command that has begun, with what ``subprocess.Popen`` has.

    Args:
        words: What follows ``textmill``.
        folder: In which folder.
        log: The file that has what it says.
        errors: The file that has what it says on standard error, if that is another.
        killing: The folder that it obeys, if any: see ``commit_killer``.
        variables: Further variables of its environment.
    """

    def __init__(self, words, folder, log, *, errors=None, killing=None, **variables):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["warm"])
        # a daemon: what a failed test has left behind ends with the tests
        args = (words, folder, (log, errors or log), killing, environment(**variables))
        self._process = context.Process(target=_do, args=args, daemon=True)
        with mock.patch.dict(os.environ, environment()):  # of the one that forks, if it starts now
            self._process.start()
        self.pid = self._process.pid

    def poll(self):
        """Return its status if it has ended; that of a signal is negative."""
        return self._process.exitcode

    def wait(self, seconds):
        """Return its status when it has ended."""
        self._process.join(seconds)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("textmill", seconds)
        return self.poll()

    def send_signal(self, number):
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def family(self):
        """Return it and all that it has started."""
        command = psutil.Process(self.pid)
        return [command, *command.children(recursive=True)]

    def wait_for(self, what, log):
        """Wait until something is so; if it ends before, that is a failure."""
        while not what():
            assert self.poll() is None, log.read_text()
            time.sleep(0.01)


def textmill_forked(*words, folder, **variables):
    """Run the command to its end in a process of its own; return what ``subprocess.run`` does."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        words = [str(word) for word in words]
        status = Command(words, folder, out, errors=err, **variables).wait(LIMIT_S)
        return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())


def _do(words, folder, logs, killing, variables):
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who started the tests may ignore it
    for path, stream in zip(logs, (1, 2), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), stream)
    if killing:
        from commit_killer import obey

        obey(killing, is_command=True)
    from jobs.cli import main

    sys.argv = ["textmill", *words]
    main()
