"""Lets rows be made as long as a study's budget has something left."""

import math
from collections.abc import Sequence

from engine.generate.events import Made
from engine.status.spent import Spent, running, taken
from engine.status.survey import Survey
from engine.steps.pool import Want

FIRST = 64  # rows that a budget lets be made before it is known what a row takes


def taken_by(event: Made) -> Spent:
    """Return what a segment took that was just made."""
    if event.was_there:
        return Spent()
    return Spent(
        event.part.rows,
        event.prompt_tokens,
        event.tokens,
        event.cached_tokens,
        event.seconds + event.start_s,
        event.start_s,
    )


class BudgetGuard:
    """Lets rows be made as long as a study's budget has something left.

    Args:
        now: What is there of the study; what it has had made before is counted.

    Attributes:
        limits: The budget.
    """

    def __init__(self, now: Survey) -> None:
        study = now.plan.file.study
        self.limits = study.budget
        self._by_pool = {
            pool.fingerprint: taken([pool], now.seen, study.name) for pool in now.plan.pools
        }

    @property
    def spent(self) -> Spent:
        """What was taken so far."""
        total = Spent()
        for pool_spent in self._by_pool.values():
            total = total.plus(pool_spent)
        return total

    def count(self, event: Made) -> None:
        """Count what a segment took."""
        before = self._by_pool.get(event.part.pool, Spent())
        self._by_pool[event.part.pool] = before.plus(taken_by(event))

    def affordable(self, wants: Sequence[Want], awaited_rows: int) -> list[Want]:
        """Return the first of the segments, as many as the budget is likely to bear.

        What a row takes is known from those before it, so with a budget no more rows are made at a
        time than were made before; rows that are being made count as spent.
        """
        bears, step = self._bears() - awaited_rows, self._step() - awaited_rows
        bearable: list[Want] = []
        for want in wants:
            bears, step = bears - want.rows, step - want.rows
            is_first = not bearable and not awaited_rows  # however large a segment is
            if bears < 0 or (step < 0 and not is_first):
                break
            bearable.append(want)
        return bearable

    def _bears(self) -> float:
        """Return how many rows the limits bear, at what those of the dearest pool take.

        A pool's rows are alike; those of another, such as labels beside whole texts, are not.
        """
        limits = self.spent.against(self.limits)
        if any(used >= limit for used, limit in limits.values()):
            return 0
        rates = [
            running(spent).times(1 / spent.rows) for spent in self._by_pool.values() if spent.rows
        ]
        dearest = {
            name: max((rate.against(self.limits)[name][0] for rate in rates), default=0.0)
            for name in limits
        }
        bearable = [
            (limit - used) / dearest[name]
            for name, (used, limit) in limits.items()
            if dearest[name]
        ]
        return min(bearable, default=math.inf)

    def _step(self) -> float:
        """Return how many rows are made at a time, before it is looked again what they take."""
        has_limits = bool(self.spent.against(self.limits))
        return max(FIRST, self.spent.rows) if has_limits else math.inf

    def projected(self, rows: float) -> Spent:
        """Return what it will have taken when so many more rows are made."""
        if not self.spent.rows:
            return self.spent
        return self.spent.plus(running(self.spent).times(rows / self.spent.rows))
