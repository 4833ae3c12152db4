"""What a study's missing rows will take, judged by the rows that are there."""

from dataclasses import dataclass

from engine.plan.names import pool_name
from engine.plan.plan import Plan
from engine.prompts.strategy import Asker
from engine.prompts.topic_list import TopicList
from engine.schema import NONE
from engine.status.quotas import OnDisk, look_over
from engine.status.spent import HOUR_S, Taken, taken
from engine.steps.baseline import Baseline
from engine.steps.pool import Pool
from engine.steps.topics import TopicPool
from engine.store.segments import unbroken
from engine.store.store import Store

CHARACTERS = 4  # of English text, a token: what tokenizers of today come to, about


SAMPLE = 8  # prompts of a slot that are looked at


@dataclass(frozen=True)
class Forecast:
    """What the rows that a study lacks will take.

    Attributes:
        rows: How many there are to make; of recipes without any row yet, as if all were accepted.
        more: What they will take, as far as the pools have rows to tell it from.
        hours: Wall time of making them, in hours, with the replicas that the study has.
        unknown: Names of the recipes without any row yet: their tokens and time are not in it.
        most: What those of ``unknown`` will take at most, if every answer is as long as it may be
            and none is refused; tokens alone, at CHARACTERS a token.
    """

    rows: int
    more: Taken
    hours: float
    unknown: list[str]
    most: Taken


def forecast(plan: Plan, store: Store) -> Forecast:
    """Forecast what the rows that are missing will take.

    Each recipe is judged by its own rows: the share that is accepted, tokens, engine seconds.

    Raises:
        DamagedError: A footer cannot be read.
    """
    rows, more, most, unknown = 0, Taken(), Taken(), []
    upto = _upto(plan, store)
    for pool in plan.pools:
        lacking = (
            pool.lacking(store)
            if isinstance(pool, Baseline)
            else sum(
                _lacking(pool, slot, upto[pool.fingerprint, slot], store) for slot in pool.slots
            )
        )
        if not lacking:
            continue
        rows += lacking
        known = taken([pool], store)
        if not known.rows:
            unknown.append(pool_name(plan, pool))
            most = most.plus(_bound(plan, pool, lacking))
            continue
        own = known._replace(engine_s=known.engine_s - known.start_s, start_s=0)
        more = more.plus(own.times(lacking / known.rows))
    replicas = plan.file.study.resources.replicas
    seconds = more.engine_s / (max(replicas) if isinstance(replicas, list) else replicas)
    return Forecast(rows, more, seconds / HOUR_S, unknown, most)


def _bound(plan: Plan, pool: Pool, rows: int) -> Taken:
    """Return the tokens that a pool's rows take at most; none if its engine asks no model."""
    if pool.model is None:
        return Taken(rows)
    prompt = _prompt_characters(plan, pool) / CHARACTERS
    return Taken(rows, rows * prompt, rows * pool.config.max_tokens)


def _prompt_characters(plan: Plan, pool: Pool) -> float:
    """Return how long a pool's prompts are, on average of a few.

    Those that show another answer, which is not there yet, are as long as that may be.
    """
    gold = plan.gold[pool.task.name]
    if isinstance(pool, Baseline):
        asker: Asker = pool.strategy_on_splits({name: own.table for name, own in gold.items()})
    elif isinstance(pool, TopicPool):
        asker = TopicList(pool.task, pool.count)
    elif pool.parent:
        return len(pool.asked.wording.request) + pool.config.max_tokens * CHARACTERS
    else:
        asker = pool.strategy_on(
            gold["train"].table, ["a topic"] if "topics" in pool.files else None
        )
    asked = [
        asker.ask(pool.row(slot, index))
        for slot in pool.slots
        for index in range(min(SAMPLE, pool.limits.get(slot, SAMPLE)))
    ]
    return sum(len(one.text) for one in asked) / len(asked)


def _upto(plan: Plan, store: Store) -> dict[tuple[str, str], int]:
    """Return how many rows each slot of each pool is likely to have in the end."""
    found: dict[tuple[str, str], int] = {}
    looks = look_over(plan, OnDisk(plan, store), has_pilot=False)
    for view in plan.views:
        for label, look in looks[view.fingerprint].items():
            key = (view.pool.fingerprint, view.slot_of(label))
            found[key] = max(found.get(key, 0), look.upto)
    for listed in plan.topic_pools:
        there = listed.segments(store)[NONE]
        hopeless = listed.is_hopeless(there, store)
        found[listed.fingerprint, NONE] = 0 if hopeless else listed.upto(there, store)
    return found


def _lacking(pool: Pool, slot: str, upto: int, store: Store) -> int:
    """Return how many rows of a slot are to be made yet, in whole segments."""
    whole = unbroken(pool.segments(store)[slot])
    there = whole[-1].stop if whole else 0
    segments = pool.grid(slot, upto)
    return max(0, (segments[-1].stop if segments else 0) - there)
