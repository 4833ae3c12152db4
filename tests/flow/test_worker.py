"""A worker that trains by itself, in a process of its own."""

import subprocess
import sys

import pytest
from command import environment

LOADS = """
import sys
from engine.train.queue import NoRun
from engine.train.worker import GroupSpec, work
class Ended:
    def call(self, method, *args):
        return NoRun.END
duty = GroupSpec(Ended(), None, 0, {threads}, uses_gpu=False, trains_together=False,
            is_compiled=False, keeps_models=False)
work(duty, 0, 1)
assert not {{"ray", "torch", "transformers"}} & set(sys.modules)
import torch
assert torch.get_num_threads() == {threads}
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_by_itself_leaves_torch_to_its_trainer_and_sets_its_threads(threads):
    code = LOADS.format(threads=threads)
    started_with = environment(OMP_NUM_THREADS=str(3 - threads))
    done = subprocess.run([sys.executable, "-c", code], env=started_with, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
