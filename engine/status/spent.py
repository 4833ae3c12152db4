"""What generation took, what it will take as far as can be told, and when to stop it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from engine.steps.pool import Pool
from engine.store.store import Store
from engine.study.resources import Budget

HOUR_S = 3600
MILLION = 10**6


class Spent(NamedTuple):
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

    def plus(self, other: "Spent") -> "Spent":
        """Return the sum."""
        return Spent(*(amount + more for amount, more in zip(self, other, strict=True)))

    def times(self, factor: float) -> "Spent":
        """Return so many times as much."""
        return Spent(*(amount * factor for amount in self))

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
        usage = {
            "max_tokens": (self.prompt_tokens + self.tokens, budget.max_tokens),
            "max_hours": (self.engine_s / HOUR_S, budget.max_hours),
            "max_cost": (self.cost(budget) or 0.0, budget.max_cost),
        }
        return {name: (taken, limit) for name, (taken, limit) in usage.items() if limit is not None}


def taken(pools: Iterable[Pool], store: Store, study: str | None = None) -> Spent:
    """Return what the rows of pools took, from the notes of their segments.

    Args:
        pools: The pools.
        store: The root.
        study: Count only what this study had made; else all.

    Raises:
        DamagedError: A footer cannot be read.
    """
    total = Spent()
    for pool in pools:
        for segments in pool.segments(store).values():
            for segment in segments:
                notes, _ = store.notes(f"{pool.folder}/{segment.name}")
                if study in (None, notes.get("study")):
                    total = total.plus(noted(notes))
    return total


def noted(notes: Mapping[str, Any]) -> Spent:
    """Return what a segment took, by its notes."""
    start_s = notes.get("start_s", 0)
    return Spent(
        notes["rows"],
        notes.get("prompt_tokens", 0),
        notes["tokens"],
        notes.get("cached_tokens", 0),
        notes["seconds"] + start_s,
        start_s,
    )


def running(spent: Spent) -> Spent:
    """Return what was taken without the engines' starts."""
    return spent._replace(engine_s=spent.engine_s - spent.start_s, start_s=0)


def in_words(spent: Spent, prices: Budget) -> str:
    """Return tokens, engine time and cost, in a few words."""
    parts = [f"{spent.prompt_tokens + spent.tokens:,.0f} tokens"]
    parts.append(f"{spent.engine_s / HOUR_S:,.2f} engine hours")
    cost = spent.cost(prices)
    parts += [] if cost is None else [f"cost {cost:,.2f}"]
    return ", ".join(parts)
