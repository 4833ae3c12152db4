"""Where each label of each view stands against its quota, and how far pools must reach for it."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from engine.plan.plan import Plan
from engine.steps.pool import Pool
from engine.steps.topics import TopicPool
from engine.steps.view import Tally, View, tally_of
from engine.store.schema import NONE
from engine.store.segments import Segment
from engine.store.store import Store
from engine.study.resources import Quota

PILOT = 512  # rows of a label that are made before any is judged: a hopeless recipe costs no more
LEAST_SHARE = 0.05  # no forecast asks for more than 20 rows for each row that is wanted

State = Literal["enough", "wanting", "short", "hopeless"]


class Slot(NamedTuple):
    """One label of a view, and what its slot of the pool came to.

    Attributes:
        view: The view.
        label: The label.
        quotas: Accepted rows wanted of each label of the view.
        tally: What the rows of the label's slot that are judged came to.
    """

    view: View
    label: str
    quotas: Mapping[str, int]
    tally: Tally


class Rule(NamedTuple):
    """By what a label is judged.

    Attributes:
        quota: When to give up, and how many rows to try at most.
        awaits: Whether further rows are being made or judged. Then nothing is given up yet, and
            only as many rows are called for as will be needed whatever those come to.
        limit: Rows that the slot can have at all, where that is known.
        pilot: Whether no more than a few rows are called for before any is judged.
    """

    quota: Quota
    awaits: bool = False
    limit: int | None = None
    pilot: bool = True


class Standing(NamedTuple):
    """Where one label of a view stands against its quota.

    Attributes:
        state: "enough" rows; "wanting" more; "short" for good, since no more can be had; or
            "hopeless", since too many are refused.
        quota: Accepted rows wanted.
        tally: What there is.
        upto: Rows that the pool's slot should have for the quota, as far as can be told.
    """

    state: State
    quota: int
    tally: Tally
    upto: int


Standings = Mapping[str, Mapping[str, Standing]]  # by view's fingerprint, and label
Targets = Mapping[tuple[str, str], int]  # rows, by pool's fingerprint and slot


def standing_of(slot: Slot, rule: Rule) -> Standing:
    """Judge whether one label of a view has its quota, and how many rows that may take."""
    judged, config = slot.tally, rule.quota
    tally, quota = judged.of(slot.label), slot.quotas[slot.label]
    if tally.accepted >= quota:
        return Standing("enough", quota, tally, judged.rows)
    if judged.rows >= config.judged_after and _is_refused(slot, config):
        return Standing("wanting" if rule.awaits else "hopeless", quota, tally, judged.rows)
    likely = likely_rows(slot, config, share=_best_share(tally) if rule.awaits else None)
    if rule.limit is not None:
        likely = min(likely, rule.limit)
    if likely <= judged.rows:
        return Standing("wanting" if rule.awaits else "short", quota, tally, judged.rows)
    is_first = rule.pilot and judged.rows < config.judged_after
    most = max(PILOT, config.judged_after) if is_first else likely
    return Standing("wanting", quota, tally, min(likely, most))


def _is_refused(slot: Slot, config: Quota) -> bool:
    """Say whether too many rows of a slot are refused, or none ever has the label."""
    judged = slot.tally
    accepted = judged.accepted / judged.rows if judged.rows else 1.0
    is_chosen = slot.view.slot_of(slot.label) != slot.label  # by the LLM: it may never choose it
    is_never = is_chosen and not judged.of(slot.label).accepted and judged.rows >= PILOT
    return accepted < 1 - config.max_refused or is_never


def likely_rows(slot: Slot, config: Quota, *, share: float | None = None) -> int:
    """Return how many rows a label's slot is likely to need for a quota, or may have at most.

    Args:
        slot: The label, and what its slot came to.
        config: How many rows to try at most.
        share: Rows of the label that will be accepted of those to come, in (0, 1]; as of those
            judged, if None.
    """
    view, label, quotas, tally = slot
    accepted, name = tally.of(label).accepted, view.slot_of(label)
    in_slot = [quota for other, quota in quotas.items() if view.slot_of(other) == name]
    if share is None:
        at_first = quotas[label] / sum(in_slot)  # as if all were accepted, and labels as wanted
        share = max(LEAST_SHARE, accepted / tally.rows if tally.rows else at_first)
    likely = tally.rows + math.ceil((quotas[label] - accepted) / share)
    cap = math.ceil(config.attempts * sum(in_slot))
    return min(likely, cap, view.pool.limits.get(name, cap))


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

    def answers(self, topics: TopicPool) -> int:
        """Return how many answers a list of topics takes yet; 0 if it is there, or hopeless."""
        ...


def standings(
    plan: Plan, known: Known, *, most: int | None = None, pilot: bool = True
) -> Standings:
    """Judge every label of every view of a plan.

    What a pool that is made from a view wants goes up to that view as a quota: so many of its rows
    must be accepted. What the view can give comes down again as a limit.

    Args:
        plan: The study's steps.
        known: What there is.
        most: Rows of a label that are wanted, at most, if not all.
        pilot: Whether no more than a few rows are called for before any is judged.
    """
    rule = Rule(plan.file.study.quota, pilot=pilot)
    quotas = {view.fingerprint: _at_most(plan.demand(view), most) for view in plan.views}
    for view in reversed(plan.views):  # those made from others stand behind them
        if parent := view.pool.parent:
            wanted, above = quotas[view.fingerprint], quotas[parent.fingerprint]
            for slot, rows in _wanted_rows(view, _of_view(view, wanted, known, rule)).items():
                label, count = parent.needs(slot, rows)
                above[label] = max(above[label], count)
    judged: dict[str, Mapping[str, Standing]] = {}
    for view in plan.views:
        limits = _limits(plan, view, judged, known)
        judged[view.fingerprint] = _of_view(view, quotas[view.fingerprint], known, rule, limits)
    return judged


def targets(plan: Plan, judged: Standings, known: Known, *, most: int | None = None) -> Targets:
    """Return how far each slot of each pool must reach, as far as can be told.

    For quotas as their labels stand; for lists of topics as many answers as those take; for a
    baseline all rows of its splits.

    Args:
        plan: The study's steps.
        judged: Where every label stands.
        known: What there is.
        most: Rows of a baseline's split that are wanted, at most, if not all.
    """
    reach: dict[tuple[str, str], int] = {}
    for view in plan.views:
        for label, standing in judged[view.fingerprint].items():
            key = (view.pool.fingerprint, view.slot_of(label))
            reach[key] = max(reach.get(key, 0), standing.upto)
    for topics in plan.topic_pools:
        reach[topics.fingerprint, NONE] = known.answers(topics)
    for baseline in plan.baselines:
        for split, rows in _at_most(baseline.limits, most).items():
            reach[baseline.fingerprint, split] = rows
    return reach


def _at_most(quotas: Mapping[str, int], most: int | None) -> dict[str, int]:
    return {key: rows if most is None else min(rows, most) for key, rows in quotas.items()}


def _of_view(
    view: View,
    quotas: Mapping[str, int],
    known: Known,
    rule: Rule,
    limits: Mapping[str, int] | None = None,
) -> dict[str, Standing]:
    judged = {}
    for label in view.labels:
        name = view.slot_of(label)
        limit = (limits or {}).get(name)
        judged[label] = standing_of(
            Slot(view, label, quotas, known.tally(view, name)),
            rule._replace(awaits=known.awaits(view, name), limit=limit),
        )
    return judged


def _wanted_rows(view: View, judged: Mapping[str, Standing]) -> dict[str, int]:
    """Return how many rows each slot of a view's pool should have, in whole segments."""
    upto = dict.fromkeys(view.pool.slots, 0)
    for label, standing in judged.items():
        slot = view.slot_of(label)
        upto[slot] = max(upto[slot], standing.upto)
    return {slot: _stop(view.pool.grid(slot, rows)) for slot, rows in upto.items()}


def _limits(plan: Plan, view: View, judged: Standings, known: Known) -> dict[str, int]:
    """Return how many rows each slot can have at all, of those whose sources are at their end."""
    pool = view.pool
    if not known.may_be_listed(pool):
        return dict.fromkeys(pool.slots, 0)
    if pool.parent is None:
        return {}
    parent, above = plan.ancestors[pool.parent.fingerprint], judged[pool.parent.fingerprint]
    accepted = {label: standing.tally.accepted for label, standing in above.items()}
    limits = {}
    for slot in pool.slots:
        label, _ = pool.parent.needs(slot, 1)
        grows = known.can_grow(parent, parent.slot_of(label))
        if above[label].state != "wanting" or not grows:
            limits[slot] = whole_rows(pool, slot, pool.parent.feeds(slot, accepted))
    return limits


def whole_rows(pool: Pool, slot: str, count: int) -> int:
    """Return how many rows the whole segments among a slot's first ``count`` rows hold."""
    stops = [segment.stop for segment in pool.grid(slot, count) if segment.stop <= count]
    return stops[-1] if stops else 0


def _stop(segments: Sequence[Segment]) -> int:
    return segments[-1].stop if segments else 0


class OnDisk:
    """What the store's files tell of a plan's rows, while nothing is made.

    Args:
        plan: The study's steps.
        store: The root; a ``Reading`` of it, if its files are to be read once.
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
        topics = self._plan.topic_pool(pool)
        return topics is None or not self._is_hopeless(topics)

    def answers(self, topics: TopicPool) -> int:
        """Return how many answers a list of topics takes yet; 0 if it is there, or hopeless."""
        if self._is_hopeless(topics):
            return 0
        return topics.upto(topics.segments(self._store)[NONE], self._store)

    def _is_hopeless(self, topics: TopicPool) -> bool:
        return topics.is_hopeless(topics.segments(self._store)[NONE], self._store)
