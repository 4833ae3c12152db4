"""How tests are dealt to pytest-xdist's workers."""

from xdist.scheduler import LoadFileScheduling

RAY_TESTS = "tests/ray/"
# the half of them that trains, by time
TRAINING = tuple(f"{RAY_TESTS}{folder}/" for folder in ("train", "search", "make"))
# those that start vLLM, whose threads keep both cores busy with waiting for each other
VLLM_TESTS = tuple(f"tests/flow/{name}" for name in ("test_vllm", "test_submit"))


class RayScheduling(LoadFileScheduling):
    """A file's tests go to one worker, those of vLLM too, and those that need Ray to one of two.

    A Ray takes a dozen processes, so that each of the two has one for all; and many of its tests
    want both of its CPUs: two at a time would wait for each other.
    """

    def _split_scope(self, nodeid):
        if nodeid.startswith(RAY_TESTS):
            return TRAINING[0] if nodeid.startswith(TRAINING) else RAY_TESTS
        if nodeid.startswith(VLLM_TESTS):
            return VLLM_TESTS[0]
        return super()._split_scope(nodeid)
