"""Lets rows be made as long as a study's budget has something left."""

import math
from collections.abc import Sequence

from engine.generate.events import Made
from engine.status.spent import Spent, running, taken
from engine.status.survey import Survey
from engine.steps.pool import Want

FIRST = 64  # rows that a budget lets be made before it is known what a row takes


def taken_by(made: Made) -> Spent:
    """Return what a segment took that was just made."""
    if made.was_there:
        return Spent()
    return Spent(
        made.part.rows,
        made.prompt_tokens,
        made.tokens,
        made.cached_tokens,
        made.seconds + made.start_s,
        made.start_s,
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
        for own in self._by_pool.values():
            total = total.plus(own)
        return total

    def count(self, made: Made) -> None:
        """Count what a segment took."""
        before = self._by_pool.get(made.part.pool, Spent())
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
        limits = self.spent.against(self.limits)
        if any(used >= limit for used, limit in limits.values()):
            return 0
        known = [running(own).times(1 / own.rows) for own in self._by_pool.values() if own.rows]
        dearest = {
            name: max((own.against(self.limits)[name][0] for own in known), default=0.0)
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
        has_limits = bool(self.spent.against(self.limits))
        return max(FIRST, self.spent.rows) if has_limits else math.inf

    def projected(self, rows: float) -> Spent:
        """Return what it will have taken when so many more rows are made."""
        if not self.spent.rows:
            return self.spent
        return self.spent.plus(running(self.spent).times(rows / self.spent.rows))
