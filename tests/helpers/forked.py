"""The command in processes that are forked from one which has loaded what it needs.

To load that takes seconds each time, and to fork a process does not. It is a process like any
other: it can be killed, paused and interrupted, whatever it is at.
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from unittest import mock

import psutil
from command import environment


class Command:
    """A command that has begun, with what ``subprocess.Popen`` has.

    Args:
        words: What follows ``textmill``.
        folder: In which folder.
        log: The file that has what it says.
        killing: The folder that it obeys, if any: see ``commit_killer``.
        variables: Further variables of its environment.
    """

    def __init__(self, words, folder, log, killing=None, **variables):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["warm"])
        # a daemon: what a failed test has left behind ends with the tests
        self._process = context.Process(
            target=_do, args=(words, folder, log, killing, environment(**variables)), daemon=True
        )
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


def _do(words, folder, log, killing, variables):
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    if killing:
        from commit_killer import obey

        obey(killing, is_command=True)
    from jobs.cli import main

    sys.argv = ["textmill", *words]
    main()
