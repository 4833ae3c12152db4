"""Families of comparisons, with the chance of any false alarm in a family held to 5%."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.evaluate.trials import Estimate, Trials

ALARM = 0.05


class Tested(NamedTuple):
    """One comparison of a family.

    Attributes:
        difference: By how much the one is above the other.
        p: The chance of it where there is no difference, adjusted for the family; None where it
            has none.
    """

    difference: Estimate
    p: float | None

    @property
    def is_shown(self) -> bool:
        """Whether a difference is shown."""
        return self.p is not None and self.p <= ALARM


def holm(differences: Sequence[Estimate], chosen_from: int | None = None) -> list[Tested]:
    """Adjust a family of comparisons (Holm 1979, "A simple sequentially rejective procedure").

    Where all are compared with one of k that was chosen for its scores, any of the k (k - 1) / 2
    pairs might have come to be looked at: the trainings that made it lead on validation are those
    that are scored on test. So each p is multiplied by k / 2 before Holm's step-down over the
    k - 1. Of m that are really equal, the leader among them, m - 1 true hypotheses are left when
    the first would be rejected falsely, which by the union bound over their m (m - 1) / 2 pairs
    happens with a chance of at most 0.05 m / k.

    Args:
        differences: What is compared; those without a p are left out of the count.
        chosen_from: Of how many the one was chosen with which all are compared, if it was.

    Returns:
        The comparisons in the given order.
    """
    from statsmodels.stats.multitest import multipletests  # here, for it takes a second to load

    known = [difference.p for difference in differences if difference.p is not None]
    factor = (chosen_from or 2) / 2
    raw = [min(1.0, p * factor) for p in known]
    adjusted = iter(multipletests(raw, ALARM, method="holm")[1] if raw else [])
    return [
        Tested(difference, None if difference.p is None else float(next(adjusted)))
        for difference in differences
    ]


def against(trials: Trials, leader: int, others: Sequence[int]) -> list[Tested | None]:
    """Compare a leader, which was chosen from among all of them, with the others.

    Args:
        trials: The conditions.
        leader: Its number.
        others: Those of the others.

    Returns:
        By how much the leader is above each; None where they have no draw in common.
    """
    contrasts = [trials.contrast({leader: 1.0, other: -1.0}) for other in others]
    tested = iter(holm([contrast for contrast in contrasts if contrast], len(others) + 1))
    return [next(tested) if contrast else None for contrast in contrasts]
