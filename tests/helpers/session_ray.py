"""The one Ray of a test session: the tiers that may use it have its fixture in their conftest.py.

With pytest-xdist that is one for each worker. Commands that a test starts as processes have a Ray
of their own.
"""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ray_up():
    """The one Ray of the test session, whichever tier asked for it first."""
    import ray

    if not ray.is_initialized():
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=2 * 10**8,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
        )
    yield
    ray.shutdown()  # at the session's end, when no tier needs it any more
