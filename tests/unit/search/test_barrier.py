"""Trials meet at the board, and sittings add up."""

import asyncio

import pytest

from engine.make.progress import Progress
from engine.search.barrier import PhaseBarrier
from engine.search.clock import Clock, OutOfTimeError
from engine.search.trial import Verdict
from engine.store.store import Store


def told(at=0, goes_on=True):
    return Verdict(at, 10, 0.5, [0.5], goes_on, is_whole=False, may_ask=True)


def run(story):
    return asyncio.run(asyncio.wait_for(story, timeout=20))


def test_a_phase_begins_when_all_that_are_expected_ask():
    async def story():
        board = PhaseBarrier()
        first = asyncio.create_task(board.measured(0, {"a": 1}, 0))
        await asyncio.sleep(0)
        assert await board.phase(0.05) is None  # nobody knows yet who will come
        await board.expect([0, 1])
        assert await board.phase(0.05) is None
        second = asyncio.create_task(board.measured(1, {"a": 2}, 0))
        assert await board.phase(5) == {0: {"a": 1}, 1: {"a": 2}}
        await board.tell({0: told(), 1: told(goes_on=False)})
        assert (await first).goes_on
        assert not (await second).goes_on
        assert await board.phase(0.05) is None

    run(story())


def test_a_trial_that_begins_anew_is_told_again_and_asked_for_once():
    async def story():
        board = PhaseBarrier()
        asyncio.create_task(board.measured(0, {}, 0))  # noqa: RUF006 - whoever waits for it is dead
        await asyncio.sleep(0)
        again = asyncio.create_task(board.measured(0, {}, 0))
        await board.expect([0])
        assert await board.phase(5) == {0: {}}
        await board.tell({0: told()})
        assert await again == told()
        assert await board.measured(0, {}, 0) == told()  # at once

    run(story())


def test_sittings_add_up_and_a_limit_ends_the_work(tmp_path):
    store = Store.open(str(tmp_path))
    heard = []
    first = Clock("studies/toy/search", store, None)
    first._began -= 1800
    first.watching(heard.append)(Progress("train", 1, 1))
    first.note()
    second = Clock("studies/toy/search", store, 0.75)
    assert second.hours == pytest.approx(0.5, abs=0.01)
    assert not second.is_over
    second.watching(heard.append)(Progress("train", 2, 2))
    second._began -= 1000
    assert second.is_over
    with pytest.raises(OutOfTimeError):
        second.watching(heard.append)(Progress("train", 3, 3))
    assert [one.done for one in heard] == [1, 2, 3]
    second.note()
    assert Clock("studies/toy/search", store, None).hours == pytest.approx(
        0.5 + 1000 / 3600, abs=0.01
    )
    (tmp_path / "studies" / "toy" / "search" / "sittings" / "cut.json").write_text('{"sec')
    assert Clock("studies/toy/search", store, None).hours == pytest.approx(
        0.5 + 1000 / 3600, abs=0.01
    )
