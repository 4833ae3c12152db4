"""What synthetic rows cost beside labelling the real rows that they are worth."""

from dataclasses import dataclass
from math import inf, isinf

from engine.evaluate.curve import Reach
from engine.findings.analysis import Worth
from engine.findings.findings import Expense
from engine.study.resources import Annotation

HOUR_S = 3600


@dataclass(frozen=True)
class Bill:
    """What a condition's synthetic rows cost, beside labelling the real rows they are worth.

    Attributes:
        took: What they took.
        further: How many real rows they are worth.
        labelling: What labelling these would cost; None where that is not known.
        hours: Hours of an annotator that it would take; None likewise.
        affords: How many real rows could be labelled for what the synthetic ones cost; None
            likewise. They pay off if they are worth more.
        price: The price of a labelled row at which both cost the same; None likewise. Where they
            are worth more than the most that were tried, it is lower.
        at_least: How many real rows they are shown to be worth; None where nothing is.
        at_most: Likewise.
    """

    took: Expense
    further: Reach
    labelling: float | None
    hours: float | None
    affords: float | None
    price: float | None
    at_least: float | None
    at_most: float | None

    @property
    def pays_off(self) -> bool | None:
        """Whether the rows are shown to pay off (or not to); None where neither is."""
        if self.affords is None or not self.further.is_told:
            return None
        if self.at_least is not None and self.at_least > self.affords:
            return True
        return False if self.at_most is not None and self.at_most < self.affords else None


def bill(worth: Worth, annotation: Annotation) -> Bill:
    """Set what a condition's synthetic rows took against labelling."""
    took, further = worth.condition.took, worth.further
    rows = further.rows if further.rows > 0 and not isinf(further.rows) else None
    most, fewest = (limit - worth.condition.rows_real for limit in (worth.most, worth.fewest))
    priced, timed = annotation.price_row, annotation.seconds_row
    return Bill(
        took=took,
        further=further,
        labelling=rows * priced if rows and priced else None,
        hours=rows * timed / HOUR_S if rows and timed else None,
        affords=took.cost / priced if took.cost is not None and priced else None,
        price=_price(took, most if further.rows == inf else rows),
        at_least=_bound(further.low, most, inf),
        at_most=_bound(further.high, fewest, -inf),
    )


def _price(took: Expense, rows: float | None) -> float | None:
    return took.cost / rows if took.cost and rows and rows > 0 else None


def _bound(rows: float, tried: float, beyond: float) -> float | None:
    """Return an end of an interval; beyond what was tried that itself is all that is shown."""
    if rows == beyond:
        return tried
    return None if isinf(rows) else rows
