"""With how many examples a property is tried: a few, the same each time; with ``--long`` many."""

from hypothesis import HealthCheck, settings

FACTOR = 1  # conftest.py sets it


def examples(count):
    """Return settings that try so many examples, whatever they take."""
    # what a test is lent here are folders and the like, which examples may share
    unaffected = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=count * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        suppress_health_check=unaffected,
    )
