"""A unit test needs neither Ray nor any other process: one that starts a process fails."""

import matplotlib.font_manager  # noqa: F401 - the first time on a machine, it starts a process
import pytest
from process_guard import GUARD

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
