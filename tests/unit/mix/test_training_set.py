from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mix import training_set as stage
from engine.mix.prior import quotas, turns
from engine.mix.training_set import outlines, training_set
from engine.steps.mix import Example, Mix
from engine.study.config import MixConfig

LABELS = ["a", "b", "c"]
weights = st.lists(st.floats(0.01, 100), min_size=3, max_size=3)


def test_balanced_labels_take_turns_in_the_tasks_order():
    assert turns(LABELS, {}, 7) == ["a", "b", "c", "a", "b", "c", "a"]


@given(weights=weights, small=st.integers(0, 60), more=st.integers(0, 60))
def test_a_smaller_quantity_is_a_prefix_of_a_larger_one(weights, small, more):
    prior = dict(zip(LABELS, weights, strict=True))
    assert turns(LABELS, prior, small + more)[:small] == turns(LABELS, prior, small)


@given(weights=weights, quantity=st.integers(0, 500))
def test_quotas_add_up_and_follow_the_prior(weights, quantity):
    prior = dict(zip(LABELS, weights, strict=True))
    found = quotas(LABELS, prior, quantity)
    assert sum(found.values()) == quantity
    for label in LABELS:
        exact = quantity * prior[label] / sum(weights)
        assert abs(found[label] - exact) <= len(LABELS)


@given(weights=st.none() | weights, quantity=st.integers(0, 300))
def test_quotas_are_the_turns_of_each_label(weights, quantity):
    prior = dict(zip(LABELS, weights, strict=True)) if weights else {}
    counts = Counter(turns(LABELS, prior, quantity))
    assert quotas(LABELS, prior, quantity) == {label: counts[label] for label in LABELS}


def test_a_billion_rows_are_divided_at_once():
    assert quotas(LABELS, {"a": 1.0, "b": 1.0, "c": 2.0}, 10**9)["c"] == 5 * 10**8


def test_quotas_are_those_counted_by_hand():
    assert quotas(["neg", "pos"], {"neg": 1.0, "pos": 3.0}, 8) == {"neg": 2, "pos": 6}
    assert quotas(LABELS, {}, 10) == {"a": 4, "b": 3, "c": 3}


@pytest.mark.parametrize("quantity", [1, 10, 999])
def test_balance_is_never_off_by_more_than_one(quantity):
    counts = Counter(turns(LABELS, {}, quantity))
    assert max(counts.values()) - min(counts[label] for label in LABELS) <= 1


class Rows:
    """A view of which only its rows are told."""

    fingerprint = "view"


@given(
    have=st.lists(st.integers(0, 12), min_size=2, max_size=2),
    amounts=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), min_size=1, max_size=6),
    weights=st.one_of(st.none(), st.tuples(st.floats(0.1, 5), st.floats(0.1, 5))),
    has_view=st.booleans(),
)
def test_outlines_are_those_of_the_sets_put_together(have, amounts, weights, has_view):
    labels = ("bad", "good")
    rows = {
        label: [Example(label, f"{label} {at}", None) for at in range(count)]
        for label, count in zip(labels, have, strict=True)
    }
    real = [Example("good", f"real {at}", None) for at in range(5)]  # fewer than some ask for
    prior = dict(zip(labels, weights, strict=True)) if weights else {}
    mixes = [
        Mix(
            labels,
            MixConfig(quantity=quantity if has_view else 0, real=wanted, prior=prior),
            0,
            Rows() if has_view else None,
            "train",
            {},
        )
        for quantity, wanted in amounts
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "accepted", lambda store, view, label, judged: iter(rows[label]))
        found = outlines(None, mixes, real)
        assert found == [training_set(None, mix, real).outline for mix in mixes]
