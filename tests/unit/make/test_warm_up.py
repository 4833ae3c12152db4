"""Workers that start while rows are made."""

import contextlib
from types import SimpleNamespace

import pytest

from engine.make.training import Training
from engine.make.work import Work


class Fleet(contextlib.nullcontext):
    """A fleet that counts how often it was warmed up."""

    warmed = 0

    def warm_up(self):
        Fleet.warmed += 1


@pytest.mark.parametrize(
    ("room", "waiting", "missing", "warmed"),
    [
        (None, ["cell"], ["run"], 0),  # training waits until generation has ended
        ("room", [], [], 0),  # there is nothing to train
        ("room", ["cell"], [], 1),
        ("room", [], ["run"], 1),
    ],
)
def test_workers_start_with_the_engines_where_there_is_room_and_work(
    room, waiting, missing, warmed, monkeypatch
):
    fleet = Fleet()
    monkeypatch.setattr(Fleet, "warmed", 0)
    monkeypatch.setattr("engine.make.training.Fleet", lambda *_: contextlib.nullcontext(fleet))
    plan = SimpleNamespace(file=SimpleNamespace(study=SimpleNamespace(resources=None)))
    now = SimpleNamespace(waiting=waiting, missing=lambda: missing)
    with Training(Work(plan, None, print, lambda: None)) as training, training.beside(room):
        training.warm_up(now)
        training.warm_up(now)
    assert Fleet.warmed == 2 * warmed
