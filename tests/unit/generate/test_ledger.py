"""What is handed out, to whom, and what counts as lost: the ledger by itself, without Ray."""

import asyncio
import functools

from engine.generate.events import GivenUp, Lost, Made, Refused, SegmentRef, Started
from engine.generate.ledger import LOSSES, Ledger, Terms
from engine.store.segments import Segment

TERMS = Terms(replicas=1, room=1000, spare=0, least=16, most=64, ways=1)


def driven(test):
    """Run a test that awaits."""

    @functools.wraps(test)
    def run():
        asyncio.run(asyncio.wait_for(test(), timeout=60))

    return run


def parts(count, rows=16, pool="pool"):
    return [SegmentRef(pool, Segment("good", at * rows, (at + 1) * rows)) for at in range(count)]


async def wanting(count, rows=16, **terms):
    """Return a ledger of one group "a" of which so many segments are wanted."""
    ledger = Ledger({"a": Terms(**{**vars(TERMS), **terms})})
    await ledger.want("a", parts(count, rows))
    return ledger


async def sizes(ledger, calls):
    return [sum(part.rows for part in await ledger.next("a", 0)) for _ in range(calls)]


async def is_held_up(waiting):
    """Say whether something still waits after everything else that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not waiting.done()


async def lose(ledger, replica, times=LOSSES):
    for _ in range(times):
        await ledger.start("a", replica)
        await ledger.tell(Lost("a", replica, f"{replica} broke"))


def of_kind(kind, events):
    return [event for event in events if isinstance(event, kind)]


@driven
async def test_calls_are_filled_up_to_the_most_in_the_order_asked_for():
    ledger = await wanting(10)
    calls = [await ledger.next("a", 0) for _ in range(3)]
    assert [len(call) for call in calls] == [4, 4, 2]
    assert [part for call in calls for part in call] == parts(10)


@driven
async def test_a_segment_larger_than_a_call_is_handed_out_whole():
    ledger = await wanting(2, rows=512, room=2000)
    assert await sizes(ledger, 2) == [512, 512]


@driven
async def test_calls_become_smaller_towards_the_end_but_not_too_small():
    ledger = await wanting(12, ways=4, least=32)
    assert await sizes(ledger, 6) == [48, 32, 32, 32, 32, 16]


@driven
async def test_no_more_is_handed_out_than_there_is_room_until_some_is_made():
    ledger = await wanting(12, room=128)
    assert await sizes(ledger, 2) == [64, 64]
    third = asyncio.ensure_future(ledger.next("a", 0))
    assert await is_held_up(third)
    await ledger.tell(Made("a", "r", parts(12)[0]))
    assert (await third)[0] == parts(12)[8]


@driven
async def test_a_call_larger_than_the_room_goes_out_alone():
    ledger = await wanting(2, rows=512, room=100)
    assert await sizes(ledger, 1) == [512]
    second = asyncio.ensure_future(ledger.next("a", 0))
    assert await is_held_up(second)
    await ledger.tell(Made("a", "r", parts(2, 512)[0]))
    assert await second == [parts(2, 512)[1]]


@driven
async def test_what_is_wanted_later_ends_the_wait_for_a_call():
    ledger = await wanting(0)
    waiting = asyncio.ensure_future(ledger.next("a", 0))
    assert await is_held_up(waiting)
    await ledger.want("a", parts(1))
    assert await waiting == parts(1)


@driven
async def test_groups_have_their_own_segments():
    ledger = Ledger({"a": TERMS, "b": TERMS})
    await ledger.want("b", parts(1, pool="other"))
    own = asyncio.ensure_future(ledger.next("a", 0))
    assert await ledger.next("b", 0) == parts(1, pool="other")
    await ledger.close("b")
    assert await is_held_up(own)
    await ledger.close("a")
    assert await own is None


@driven
async def test_once_closed_there_are_no_more_calls_nor_starts():
    ledger = await wanting(3)
    await ledger.close("a")
    assert await ledger.next("a", 0) is None
    assert not await ledger.start("a", "r")


@driven
async def test_pools_and_labels_take_turns_whenever_they_are_asked_for():
    ledger = await wanting(4, most=32)
    await ledger.want("a", parts(2, pool="another"))
    calls = [await ledger.next("a", 0) for _ in range(3)]
    assert calls == [
        [parts(1)[0], parts(1, pool="another")[0]],
        [parts(2)[1], parts(2, pool="another")[1]],
        parts(4)[2:],
    ]


@driven
async def test_segments_that_are_out_are_still_to_be_made_and_others_are_not():
    ledger = await wanting(6)
    out = await ledger.next("a", 0)
    assert out == parts(4)
    assert await ledger.take("a", parts(6)) == out


@driven
async def test_a_source_begins_once_for_each_pass():
    ledger = await wanting(1)
    assert [await ledger.begin("a"), await ledger.begin("a")] == [1, 0]
    await ledger.begin_anew("a")
    assert [await ledger.begin("a"), await ledger.begin("a")] == [3, 0]


@driven
async def test_a_pass_begun_anew_is_asked_first_for_what_the_last_one_left():
    ledger = await wanting(12)
    await ledger.next("a", 0), await ledger.next("a", 0)
    await ledger.tell(Made("a", "r", parts(12)[1]))
    await ledger.begin_anew("a")
    again = [part for _ in range(3) for part in await ledger.next("a", 1)]
    assert again == [part for part in parts(12) if part != parts(12)[1]]


@driven
async def test_a_call_begins_with_what_is_still_to_be_made_and_with_nothing_once_closed():
    ledger = await wanting(4)
    call = await ledger.next("a", 0)
    await ledger.tell(Made("a", "r", call[2]))
    assert await ledger.take("a", call) == [call[0], call[1], call[3]]
    await ledger.close("a")
    assert await ledger.take("a", call) == []


@driven
async def test_a_replica_that_died_without_a_word_is_lost_when_it_starts_again():
    ledger = await wanting(1)
    assert await ledger.start("a", "r")
    assert await ledger.hear(0.01) == []
    assert await ledger.start("a", "r")
    (lost,) = await ledger.hear(0.01)
    assert isinstance(lost, Lost)
    assert (lost.group, lost.replica) == ("a", "r")
    assert "killed" in lost.cause


@driven
async def test_a_loss_that_was_told_counts_once():
    ledger = await wanting(1)
    await ledger.start("a", "r")
    await ledger.tell(Lost("a", "r", "it hangs"))
    assert await ledger.start("a", "r")
    assert await ledger.hear(0.01) == [Lost("a", "r", "it hangs")]
    assert await ledger.start("a", "r")  # and the next, which nobody told, once more
    assert len(of_kind(Lost, await ledger.hear(0.01))) == 1


@driven
async def test_a_replica_lost_thrice_in_a_row_sits_out_while_another_works():
    ledger = await wanting(4)
    await ledger.start("a", "good")
    await lose(ledger, "bad", LOSSES - 1)
    assert await ledger.start("a", "bad")
    await ledger.tell(Lost("a", "bad", "bad broke"))
    assert not await ledger.start("a", "bad")
    events = await ledger.hear(0.01)
    assert len(of_kind(Lost, events)) == LOSSES
    assert not of_kind(GivenUp, events)
    assert await ledger.start("a", "new")


@driven
async def test_silent_deaths_in_a_row_count_like_those_that_are_told():
    ledger = await wanting(1)
    starts = [await ledger.start("a", "r") for _ in range(LOSSES + 1)]
    assert starts == [True] * LOSSES + [False]
    events = await ledger.hear(0.01)
    assert len(of_kind(Lost, events)) == LOSSES
    assert [event.group for event in of_kind(GivenUp, events)] == ["a"]


@driven
async def test_a_segment_made_in_between_begins_the_count_of_losses_anew():
    ledger = await wanting(4)
    await lose(ledger, "r", LOSSES - 1)
    await ledger.start("a", "r")
    await ledger.tell(Made("a", "r", parts(4)[0]))
    await ledger.tell(Lost("a", "r", "r broke"))
    assert await ledger.start("a", "r")
    assert not of_kind(GivenUp, await ledger.hear(0.01))


@driven
async def test_a_group_is_given_up_with_its_last_replica_and_its_cause():
    ledger = await wanting(4)
    waiting = asyncio.ensure_future(ledger.next("a", 0))
    await waiting
    waiting = asyncio.ensure_future(ledger.next("a", 0))
    await ledger.start("a", "second")
    await lose(ledger, "first")
    assert not of_kind(GivenUp, await ledger.hear(0.01))
    assert await is_held_up(waiting)
    await lose(ledger, "second")
    assert of_kind(GivenUp, await ledger.hear(0.01)) == [GivenUp("a", "second broke")]
    assert await waiting is None


@driven
async def test_replicas_of_a_pass_that_ended_are_not_waited_for():
    ledger = await wanting(4)
    await ledger.start("a", "gone")  # with its pass: it never starts again
    await ledger.begin_anew("a")
    await lose(ledger, "new")
    assert of_kind(GivenUp, await ledger.hear(0.01)) == [GivenUp("a", "new broke")]


@driven
async def test_the_last_word_of_a_pass_that_ended_gives_nothing_up():
    ledger = await wanting(4)
    await ledger.start("a", "old")
    await ledger.begin_anew("a")
    await ledger.tell(Lost("a", "old", "old broke"))
    assert await ledger.start("a", "new")


@driven
async def test_a_group_is_given_up_once():
    ledger = await wanting(1)
    await ledger.give_up("a", "a key is refused")
    await ledger.give_up("a", "another cause")
    assert await ledger.hear(0.01) == [GivenUp("a", "a key is refused")]
    assert not await ledger.start("a", "r")


@driven
async def test_what_a_replica_leaves_is_handed_to_others_and_it_waits_for_the_end():
    ledger = await wanting(8)
    call = await ledger.next("a", 0)
    await ledger.tell(Made("a", "r", call[0]))
    out = asyncio.ensure_future(ledger.sit_out("a", call))
    assert await is_held_up(out)
    assert await ledger.next("a", 0) == parts(8)[1:5]
    assert await ledger.take("a", call) == call[1:]
    await ledger.close("a")
    await out


@driven
async def test_an_engine_that_refuses_ends_its_group():
    ledger = await wanting(4)
    error = ValueError("a field is wrong")
    await ledger.tell(Refused("a", error))
    assert await ledger.next("a", 0) is None
    assert await ledger.hear(0.01) == [Refused("a", error)]


@driven
async def test_each_event_is_heard_once_and_in_order():
    ledger = await wanting(2)
    told = [Started("a", "r", 1.5), *(Made("a", "r", part) for part in parts(2))]
    for event in told:
        await ledger.tell(event)
    assert await ledger.hear(60) == told
    assert await ledger.hear(0.01) == []


@driven
async def test_what_happened_is_heard_without_waiting():
    ledger = await wanting(1)
    await ledger.tell(Started("a", "r", 1.5))
    assert await ledger.hear(0) == [Started("a", "r", 1.5)]


@driven
async def test_who_listens_hears_as_soon_as_something_happens():
    ledger = await wanting(1)
    heard = asyncio.ensure_future(ledger.hear(3600))
    assert await is_held_up(heard)
    await ledger.tell(Made("a", "r", parts(1)[0]))
    assert await heard == [Made("a", "r", parts(1)[0])]


@driven
async def test_what_still_waits_for_a_pass_that_ended_takes_nothing_from_the_next():
    ledger = await wanting(0)
    orphan = asyncio.ensure_future(ledger.next("a", await ledger.begin("a")))
    assert await is_held_up(orphan)
    await ledger.begin_anew("a")
    await ledger.want("a", parts(4))
    assert await orphan is None
    assert await ledger.next("a", await ledger.begin("a")) == parts(4)


@driven
async def test_engines_that_are_let_go_are_not_waited_for():
    ledger = await wanting(4)
    for replica in ("first", "second", "third"):
        await ledger.start("a", replica)
    await lose(ledger, "first")
    await lose(ledger, "second")
    assert not of_kind(GivenUp, await ledger.hear(0.01))
    await ledger.leave("a", "third")
    assert [event.group for event in of_kind(GivenUp, await ledger.hear(0.01))] == ["a"]


@driven
async def test_calls_are_for_as_many_engines_as_there_are():
    ledger = await wanting(16, least=16, most=256)
    for replica in ("first", "second", "third", "fourth"):
        await ledger.start("a", replica)
    assert await sizes(ledger, 1) == [64]
    for replica in ("second", "third", "fourth"):
        await ledger.leave("a", replica)
    assert await sizes(ledger, 1) == [192]
