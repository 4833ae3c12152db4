"""A unit test needs neither Ray nor any other process: one that starts a process fails."""

import platform

import matplotlib.font_manager  # noqa: F401 - the first time on a machine, it looks for fonts
import pytest
from process_guard import GUARD

platform.platform()  # the first time in a process of Python, it asks another what this machine is
platform.uname().processor  # noqa: B018

WHY = (
    "A unit test starts none. One that needs processes belongs to tests/ray (with the fixture "
    "ray_up), tests/flow (whole commands) or tests/faults (what is killed or damaged)."
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    with GUARD.watching(WHY):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    with GUARD.watching(WHY):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    with GUARD.watching(WHY):
        return (yield)
