"""How tests are dealt to pytest-xdist's workers."""

from xdist.scheduler import LoadFileScheduling

RAY_TESTS = "tests/ray/"


class RayScheduling(LoadFileScheduling):
    """A file's tests go to one worker, and so do all that need Ray.

    A Ray takes a dozen processes, and many of its tests want both of its CPUs: two at a time would
    wait for each other.
    """

    def _split_scope(self, nodeid):
        return RAY_TESTS if nodeid.startswith(RAY_TESTS) else super()._split_scope(nodeid)
