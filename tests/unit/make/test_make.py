"""What is made of a plan, where runs fail."""

from pathlib import Path

import pytest
from offline_fill import OfflineFill

from engine.errors import DamagedError
from engine.make.make import make, prepare
from engine.make.work import Work
from engine.status.survey import survey
from engine.train.queue import Finished

OVERRIDES = ["train.trainer=user_plugins:Guess", "factors.quantity=[8]", "factors.real=[0]"]


class FailingTraining:
    """Training in which every run fails, for a reason of its own or over a damaged view."""

    def __init__(self, damaged=None):
        self.damaged, self.runs = damaged, []

    def begin(self, runs):
        self.runs = list(runs)

    def finish(self):
        if self.damaged:
            data = bytearray(self.damaged.read_bytes())
            data[len(data) // 2] ^= 1
            self.damaged.write_bytes(data)
        return [Finished(run, 0.0, "it failed") for run in self.runs]


@pytest.fixture
def filled(toy):
    filled = OfflineFill(toy / "study.toml", OVERRIDES).fill()
    prepare(filled.plan, filled.store)
    return filled


def test_what_fails_is_told_by_the_files_of_its_runs(filled):
    work = Work(filled.plan, filled.store, lambda _: None)
    making = make(work, FailingTraining())
    missing = survey(filled.plan, filled.store).missing()
    assert making.failures == {run.name: "it failed" for run in missing}
    assert making.now.missing() == missing


def test_a_view_that_is_damaged_while_runs_are_trained_is_found_and_not_passed_over(filled):
    (view,) = filled.plan.views
    damaged = sorted(Path(filled.store.root, view.folder, "rows").iterdir())[0]
    work = Work(filled.plan, filled.store, lambda _: None)
    with pytest.raises(DamagedError, match=r"views/.*"):
        make(work, FailingTraining(damaged))
