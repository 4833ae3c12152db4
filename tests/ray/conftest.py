"""The one Ray of a test session, for this folder's tests alone.

With pytest-xdist one worker runs them all (``ray_scheduling``). It starts the Ray when the first of
them asks for it and ends it after the last, so that any later test works in its own process, as
where there is no Ray. A command in a process of its own joins by ``RAY_ADDRESS``.
"""

import os
import sys
from pathlib import Path
from unittest import mock

import pytest
from command import environment

from engine.nodes.session import STARTS

TIER = Path(__file__).parent


@pytest.fixture(scope="session")
def killing(tmp_path_factory):
    """A folder in which a test says where a command is to be killed: see ``commit_killer``."""
    return tmp_path_factory.mktemp("killing")


@pytest.fixture(scope="session")
def _counts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counts")
    return {"STARTED": folder / "started", "TRAINED": folder / "trained"}


@pytest.fixture
def counted(_counts):
    """The files in which ``counting_plugins`` note engines and training, without a line."""
    for path in _counts.values():
        path.write_text("")
    return tuple(_counts.values())


@pytest.fixture(scope="module")
def ray_up(killing, _counts):
    """The Ray, which this process has joined; the value is the address by which others join it."""
    import ray

    if not ray.is_initialized():
        # what it starts has the environment that it is started in
        paths = {name: str(path) for name, path in {"KILLING": killing, **_counts}.items()}
        with mock.patch.dict(os.environ, environment("killing", **paths)):
            start()
    return ray.get_runtime_context().gcs_address


def start():
    """Start it; a busy machine may take longer than Ray waits, as ``engine.nodes.session`` says."""
    import ray

    for remaining in reversed(range(STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=2 * 10**8,
                log_to_driver=False,
            )
        except Exception:
            ray.shutdown()
            if not remaining:
                raise
        else:
            return


def pytest_runtest_teardown(nextitem):
    if (nextitem is None or not nextitem.path.is_relative_to(TIER)) and "ray" in sys.modules:
        sys.modules["ray"].shutdown()
