import pytest

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
