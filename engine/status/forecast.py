"""What a study's missing rows will take, judged by the rows that are there."""

from collections import Counter
from dataclasses import dataclass

from engine.plan.names import pool_name
from engine.plan.plan import Plan
from engine.prompts.strategy import Asker
from engine.prompts.topic_list import TopicList
from engine.status.quotas import Targets, standings, targets
from engine.status.spent import HOUR_S, Spent, running, taken
from engine.status.survey import Survey
from engine.status.wants import missing_segments
from engine.steps.baseline import Baseline
from engine.steps.pool import Pool
from engine.steps.topics import TopicPool

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
    more: Spent
    hours: float
    unknown: list[str]
    most: Spent


def forecast(now: Survey) -> Forecast:
    """Forecast what the rows that are missing will take.

    Each recipe is judged by its own rows: the share that is accepted, tokens, engine seconds.

    Raises:
        DamagedError: A footer cannot be read.
    """
    plan, rows, more, most, unknown = now.plan, 0, Spent(), Spent(), []
    missing: Counter[str] = Counter()
    for want in missing_segments(now, reach(now)):
        missing[want.pool.fingerprint] += want.rows
    for pool in plan.pools:
        lacking = missing[pool.fingerprint]
        if not lacking:
            continue
        rows += lacking
        known = taken([pool], now.seen)
        if not known.rows:
            unknown.append(pool_name(plan, pool))
            most = most.plus(_bound(plan, pool, lacking))
            continue
        more = more.plus(running(known).times(lacking / known.rows))
    replicas = plan.file.study.resources.replicas
    seconds = more.engine_s / (max(replicas) if isinstance(replicas, list) else replicas)
    return Forecast(rows, more, seconds / HOUR_S, unknown, most)


def reach(now: Survey) -> Targets:
    """Return how far pools are likely to reach in the end, not at the next look."""
    return targets(now.plan, standings(now.plan, now.known, pilot=False), now.known)


def _bound(plan: Plan, pool: Pool, rows: int) -> Spent:
    """Return the tokens that a pool's rows take at most; none if its engine asks no model."""
    if pool.model is None:
        return Spent(rows)
    prompt = _prompt_characters(plan, pool) / CHARACTERS
    return Spent(rows, rows * prompt, rows * pool.config.max_tokens)


def _prompt_characters(plan: Plan, pool: Pool) -> float:
    """Return how long a pool's prompts are, on average of a few.

    Those that show another answer, which is not there yet, are as long as that may be.
    """
    gold = plan.gold[pool.task.name]
    if isinstance(pool, Baseline):
        asker: Asker = pool.strategy_on_splits({name: rows.table for name, rows in gold.items()})
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
    return sum(len(prompt.text) for prompt in asked) / len(asked)
