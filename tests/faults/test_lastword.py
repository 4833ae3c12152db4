import subprocess
import sys

import pytest
from command import environment

ENDS = {
    "at a stroke": ("os._exit(1)", True),
    "by a signal": ("os.kill(os.getpid(), signal.SIGKILL)", True),
    "by an exception": ("raise ValueError", False),
    "well": ("pass", False),
}
PROGRAM = """
import os, signal
from engine.nodes.lastword import last_word
with last_word("go on"):
    {}
"""


@pytest.mark.parametrize("end", ENDS)
def test_the_last_word_is_said_for_a_process_that_could_not(end):
    code, is_said = ENDS[end]
    words = [sys.executable, "-c", PROGRAM.format(code)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert ("go on\n" in done.stderr) == is_said


def test_nothing_is_said_where_there_is_no_more_to_do():
    words = [sys.executable, "-c", PROGRAM.format("pass") + "os._exit(1)"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
