import subprocess
import sys

import pytest
from command import environment

from engine.errors import ConfigError
from engine.nodes.session import ray_session


def test_a_cluster_that_is_not_there_is_said_not_to_be(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # another test may have one up
    with (
        pytest.raises(ConfigError, match=r"RAY_ADDRESS is '127.*, and no Ray answers"),
        ray_session(),
    ):
        pass


OWN = """
import os
import psutil
from engine.nodes.executor import Needs, running
from engine.nodes.session import ray_session

class Register:
    def process(self):
        return os.getpid()

def ask(register):
    return register.call("process"), os.getpid()

with ray_session():
    executor = running()
    tasks = executor.tasks(ask, Needs())
    register = executor.service(Register)
    tasks.begin(register)
    (done,) = tasks.finished(None)
    assert done.error is None, done.error
    served_in, asked_in = done.value
    assert served_in == os.getpid() != asked_in
    words = [word for one in psutil.Process().children(recursive=True) for word in one.cmdline()]
    programs = {word.rpartition("/")[2] for word in words}
    assert {"gcs_server", "raylet"} <= programs
    assert not {"monitor.py", "log_monitor.py", "dashboard.py"} & programs
"""


def test_a_ray_of_the_commands_own_has_no_processes_that_it_can_do_without():
    done = subprocess.run([sys.executable, "-c", OWN], env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
