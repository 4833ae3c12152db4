"""Where each label of each view stands against its quota, and how many rows that may take."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple, Protocol

from engine.plan.plan import Plan
from engine.schema import NONE
from engine.steps.pool import Pool
from engine.steps.view import Tally, View, tally_of
from engine.store.segments import Segment
from engine.store.store import Store
from engine.study.resources import Quota

PILOT = 512  # rows of a label that are made before any is judged: a hopeless recipe costs no more


LEAST_SHARE = 0.05  # no forecast asks for more than 20 rows for each row that is wanted


Standing = Literal["enough", "wanting", "short", "hopeless"]


class Outlook(NamedTuple):
    """Where one label of a view stands against its quota.

    Attributes:
        standing: "enough" rows; "wanting" more; "short" for good, since no more can be had; or
            "hopeless", since too many are refused.
        quota: Accepted rows wanted.
        tally: What there is.
        upto: Rows that the pool's slot should have for the quota, as far as can be told.
    """

    standing: Standing
    quota: int
    tally: Tally
    upto: int


def outlook(  # noqa: PLR0913 - a label's outlook has these sources
    view: View,
    label: str,
    quotas: Mapping[str, int],
    tally: Tally,
    config: Quota,
    *,
    awaits: bool = False,
    limit: int | None = None,
    has_pilot: bool = True,
) -> Outlook:
    """Judge whether one label of a view has its quota, and how many rows that may take.

    Args:
        view: The view.
        label: The label.
        quotas: Accepted rows wanted of each label of the view.
        tally: What the rows of the label's slot that are judged came to.
        config: When to give up.
        awaits: Whether further rows are being made or judged. Then nothing is given up yet, and
            only as many rows are called for as will be needed whatever those come to.
        limit: Rows that the slot can have at all, where that is known.
        has_pilot: Whether no more than a few rows are called for before any is judged.
    """
    own, quota = tally.of(label), quotas[label]
    if own.accepted >= quota:
        return Outlook("enough", quota, own, tally.rows)
    accepted = tally.accepted / tally.rows if tally.rows else 1.0
    is_chosen = view.slot_of(label) != label  # by the LLM, which may never choose it
    is_never = is_chosen and not own.accepted and tally.rows >= PILOT
    if tally.rows >= config.judged_after and (accepted < 1 - config.max_refused or is_never):
        return Outlook("wanting" if awaits else "hopeless", quota, own, tally.rows)
    hoped = _best_share(own) if awaits else None
    likely = likely_rows(view, label, quotas, tally, config, share=hoped)
    if limit is not None:
        likely = min(likely, limit)
    if likely <= tally.rows:
        return Outlook("wanting" if awaits else "short", quota, own, tally.rows)
    is_first = has_pilot and tally.rows < config.judged_after
    pilot = max(PILOT, config.judged_after) if is_first else likely
    return Outlook("wanting", quota, own, min(likely, pilot))


def likely_rows(  # noqa: PLR0913 - as of an outlook
    view: View,
    label: str,
    quotas: Mapping[str, int],
    tally: Tally,
    config: Quota,
    *,
    share: float | None = None,
) -> int:
    """Return how many rows a label's slot is likely to need for a quota, or may have at most.

    Args:
        view: The view.
        label: The label.
        quotas: Accepted rows wanted of each label of the view.
        tally: What the rows of the slot that are judged came to.
        config: When to give up.
        share: Rows of the label that will be accepted of those to come, in (0, 1]; as of those
            judged, if None.
    """
    own, slot = tally.of(label), view.slot_of(label)
    in_slot = [quota for other, quota in quotas.items() if view.slot_of(other) == slot]
    if share is None:
        at_first = quotas[label] / sum(in_slot)  # as if all were accepted, and labels as wanted
        share = max(LEAST_SHARE, own.accepted / tally.rows if tally.rows else at_first)
    likely = tally.rows + math.ceil((quotas[label] - own.accepted) / share)
    cap = math.ceil(config.attempts * sum(in_slot))
    return min(likely, cap, view.pool.limits.get(slot, cap))


def _best_share(tally: Tally) -> float:
    """Return the largest share of accepted rows that a tally is likely to come to."""
    if tally.rows < PILOT:
        return 1.0
    share = max(LEAST_SHARE, tally.accepted / tally.rows)
    return min(1.0, share + 2 * math.sqrt(share * (1 - share) / tally.rows))


class Known(Protocol):
    """What is known of the rows that there are."""

    def tally(self, view: View, slot: str) -> Tally:
        """Return what the judged rows of a slot came to."""
        ...

    def awaits(self, view: View, slot: str) -> bool:
        """Say whether further rows of a slot are being made or judged."""
        ...

    def can_grow(self, view: View, slot: str) -> bool:
        """Say whether more rows of a slot may be made, as far as engines and budget go."""
        ...

    def may_be_listed(self, pool: Pool) -> bool:
        """Say whether the topics that a pool draws on are there, or may come yet."""
        ...


Looks = Mapping[str, Mapping[str, Outlook]]  # by view's fingerprint, and label


def look_over(
    plan: Plan, known: Known, *, most: int | None = None, has_pilot: bool = True
) -> Looks:
    """Judge every label of every view of a plan.

    What a pool that is made from a view wants goes up to that view as a quota: so many of its rows
    must be accepted. What the view can give comes down again as a limit.

    Args:
        plan: The study's steps.
        known: What there is.
        most: Rows of a label that are wanted, at most, if not all.
        has_pilot: Whether no more than a few rows are called for before any is judged.
    """
    quotas = {view.fingerprint: _at_most(plan.demand(view), most) for view in plan.views}
    looks = partial(_looks, known=known, config=plan.file.study.quota, has_pilot=has_pilot)
    for view in reversed(plan.views):  # those made from others stand behind them
        if parent := view.pool.parent:
            own, above = quotas[view.fingerprint], quotas[parent.fingerprint]
            for slot, rows in _wanted_rows(view, looks(view, own, {})).items():
                label, count = parent.needs(slot, rows)
                above[label] = max(above[label], count)
    found: dict[str, Mapping[str, Outlook]] = {}
    for view in plan.views:
        limits = _limits(plan, view, found, known)
        found[view.fingerprint] = looks(view, quotas[view.fingerprint], limits)
    return found


def _at_most(quotas: Mapping[str, int], most: int | None) -> dict[str, int]:
    return {label: own if most is None else min(own, most) for label, own in quotas.items()}


def _looks(  # noqa: PLR0913 - most is the same for all views
    view: View,
    quotas: Mapping[str, int],
    limits: Mapping[str, int],
    *,
    known: Known,
    config: Quota,
    has_pilot: bool,
) -> dict[str, Outlook]:
    found = {}
    for label in view.labels:
        slot = view.slot_of(label)
        found[label] = outlook(
            view,
            label,
            quotas,
            known.tally(view, slot),
            config,
            awaits=known.awaits(view, slot),
            limit=limits.get(slot),
            has_pilot=has_pilot,
        )
    return found


def _wanted_rows(view: View, looks: Mapping[str, Outlook]) -> dict[str, int]:
    """Return how many rows each slot of a view's pool should have, in whole segments."""
    upto = dict.fromkeys(view.pool.slots, 0)
    for label, look in looks.items():
        slot = view.slot_of(label)
        upto[slot] = max(upto[slot], look.upto)
    return {slot: _stop(view.pool.grid(slot, rows)) for slot, rows in upto.items()}


def _limits(plan: Plan, view: View, looks: Looks, known: Known) -> dict[str, int]:
    """Return how many rows each slot can have at all, of those whose sources are at their end."""
    pool = view.pool
    if not known.may_be_listed(pool):
        return dict.fromkeys(pool.slots, 0)
    if pool.parent is None:
        return {}
    parent, above = plan.ancestors[pool.parent.fingerprint], looks[pool.parent.fingerprint]
    accepted = {label: look.tally.accepted for label, look in above.items()}
    limits = {}
    for slot in pool.slots:
        label, _ = pool.parent.needs(slot, 1)
        grows = known.can_grow(parent, parent.slot_of(label))
        if above[label].standing != "wanting" or not grows:
            limits[slot] = whole_rows(pool, slot, pool.parent.feeds(slot, accepted))
    return limits


def whole_rows(pool: Pool, slot: str, count: int) -> int:
    """Return how many rows the whole segments among a slot's first ``count`` rows hold."""
    stops = [one.stop for one in pool.grid(slot, count) if one.stop <= count]
    return stops[-1] if stops else 0


def _stop(segments: Sequence[Segment]) -> int:
    return segments[-1].stop if segments else 0


class OnDisk:
    """What the store's files tell of a plan's rows, while nothing is made.

    Args:
        plan: The study's steps.
        store: The root.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan, self._store = plan, store
        self._tallies: dict[tuple[str, str], Tally] = {}

    def tally(self, view: View, slot: str) -> Tally:
        """Return what the judged rows of a slot came to.

        Raises:
            DamagedError: A footer cannot be read.
        """
        key = (view.fingerprint, slot)
        if key not in self._tallies:
            self._tallies[key] = tally_of(self._store, view, slot)
        return self._tallies[key]

    def awaits(self, view: View, slot: str) -> bool:
        """Say that nothing is being made."""
        return False

    def can_grow(self, view: View, slot: str) -> bool:
        """Say that more can be made, as far as files can tell."""
        return True

    def may_be_listed(self, pool: Pool) -> bool:
        """Say whether the topics that a pool draws on are there, or may come yet."""
        listed = self._plan.topic_pool(pool)
        if listed is None:
            return True
        there = listed.segments(self._store)[NONE]
        return not listed.is_hopeless(there, self._store)
