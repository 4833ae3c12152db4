"""What generation took, what it will take as far as can be told, and when to stop it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.generate.ledger import Made
from engine.generate.pool import Pool
from engine.generate.stage import Want
from engine.plan import Plan
from engine.store import Store
from engine.study.resources import Budget

HOUR_S = 3600
MILLION = 10**6
FIRST = 64  # rows that a budget lets be made before it is known what a row takes


class Taken(NamedTuple):
    """What making rows took.

    Attributes:
        rows: The rows.
        prompt_tokens: Tokens of their prompts.
        tokens: Tokens of their completions.
        cached_tokens: Those of the prompts that engines had worked on before.
        engine_s: Seconds of engines, their starts among them.
        start_s: Seconds of the starts alone.
    """

    rows: float = 0
    prompt_tokens: float = 0
    tokens: float = 0
    cached_tokens: float = 0
    engine_s: float = 0
    start_s: float = 0

    def plus(self, other: "Taken") -> "Taken":
        """Return the sum."""
        return Taken(*(own + more for own, more in zip(self, other, strict=True)))

    def times(self, factor: float) -> "Taken":
        """Return so many times as much."""
        return Taken(*(own * factor for own in self))

    def cost(self, prices: Budget) -> float | None:
        """Return what it cost; None where no price is given."""
        if not prices.has_prices:
            return None
        return (
            self.prompt_tokens * (prices.price_prompt or 0) / MILLION
            + self.tokens * (prices.price_completion or 0) / MILLION
            + self.engine_s * (prices.price_hour or 0) / HOUR_S
        )

    def against(self, budget: Budget) -> dict[str, tuple[float, float]]:
        """Return what was taken of each limit that a budget has, and the limit."""
        own = {
            "max_tokens": (self.prompt_tokens + self.tokens, budget.max_tokens),
            "max_hours": (self.engine_s / HOUR_S, budget.max_hours),
            "max_cost": (self.cost(budget) or 0.0, budget.max_cost),
        }
        return {name: (taken, limit) for name, (taken, limit) in own.items() if limit is not None}


def taken_by(made: Made) -> Taken:
    """Return what a segment took that was just made."""
    if made.was_there:
        return Taken()
    return Taken(
        made.part.rows,
        made.prompt_tokens,
        made.tokens,
        made.cached_tokens,
        made.seconds + made.start_s,
        made.start_s,
    )


def taken(pools: Iterable[Pool], store: Store, study: str | None = None) -> Taken:
    """Return what the rows of pools took, from the notes of their segments.

    Args:
        pools: The pools.
        store: The root.
        study: Count only what this study had made; else all.

    Raises:
        DamagedError: A footer cannot be read.
    """
    total = Taken()
    for pool in pools:
        for segments in pool.segments(store).values():
            for segment in segments:
                notes, _ = store.notes(f"{pool.folder}/{segment.name}")
                if study in (None, notes.get("study")):
                    total = total.plus(noted(notes))
    return total


def noted(notes: Mapping[str, Any]) -> Taken:
    """Return what a segment took, by its notes."""
    start_s = notes.get("start_s", 0)
    return Taken(
        notes["rows"],
        notes.get("prompt_tokens", 0),
        notes["tokens"],
        notes.get("cached_tokens", 0),
        notes["seconds"] + start_s,
        start_s,
    )


class Purse:
    """Lets rows be made as long as a study's budget has something left.

    Args:
        plan: The study's steps.
        store: The root; what the study has had made before is counted.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        study = plan.file.study
        self.budget = study.budget
        self._by_pool = {pool.fingerprint: taken([pool], store, study.name) for pool in plan.pools}

    @property
    def spent(self) -> Taken:
        """What was taken so far."""
        total = Taken()
        for own in self._by_pool.values():
            total = total.plus(own)
        return total

    def pay(self, made: Made) -> None:
        """Count what a segment took."""
        before = self._by_pool.get(made.part.pool, Taken())
        self._by_pool[made.part.pool] = before.plus(taken_by(made))

    def affordable(self, wants: Sequence[Want], awaited_rows: int) -> list[Want]:
        """Return the first of the segments, as many as the budget is likely to bear.

        What a row takes is known from those before it, so with a budget no more rows are made at a
        time than were made before; rows that are being made count as spent.
        """
        bears, step = self._bears() - awaited_rows, self._step() - awaited_rows
        found: list[Want] = []
        for want in wants:
            bears, step = bears - want.rows, step - want.rows
            is_first = not found and not awaited_rows  # however large a segment is
            if bears < 0 or (step < 0 and not is_first):
                break
            found.append(want)
        return found

    def _bears(self) -> float:
        """Return how many rows the limits bear, at what those of the dearest pool take.

        A pool's rows are alike; those of another, such as labels beside whole texts, are not.
        """
        limits = self.spent.against(self.budget)
        if any(used >= limit for used, limit in limits.values()):
            return 0
        known = [_running(own).times(1 / own.rows) for own in self._by_pool.values() if own.rows]
        dearest = {
            name: max((own.against(self.budget)[name][0] for own in known), default=0.0)
            for name in limits
        }
        left = [
            (limit - used) / dearest[name]
            for name, (used, limit) in limits.items()
            if dearest[name]
        ]
        return min(left, default=math.inf)

    def _step(self) -> float:
        """Return how many rows are made at a time, before it is looked again what they take."""
        has_limits = bool(self.spent.against(self.budget))
        return max(FIRST, self.spent.rows) if has_limits else math.inf

    def projected(self, rows: float) -> Taken:
        """Return what it will have taken when so many more rows are made."""
        if not self.spent.rows:
            return self.spent
        return self.spent.plus(_running(self.spent).times(rows / self.spent.rows))


def _running(spent: Taken) -> Taken:
    """Return what was taken without the engines' starts."""
    return spent._replace(engine_s=spent.engine_s - spent.start_s, start_s=0)


def in_words(spent: Taken, prices: Budget) -> str:
    """Return tokens, engine time and cost, in a few words."""
    parts = [f"{spent.prompt_tokens + spent.tokens:,.0f} tokens"]
    parts.append(f"{spent.engine_s / HOUR_S:,.2f} engine hours")
    cost = spent.cost(prices)
    parts += [] if cost is None else [f"cost {cost:,.2f}"]
    return ", ".join(parts)
