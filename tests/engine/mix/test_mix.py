from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mix.prior import quotas, turns

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


def test_quotas_are_those_counted_by_hand():
    assert quotas(["neg", "pos"], {"neg": 1.0, "pos": 3.0}, 8) == {"neg": 2, "pos": 6}
    assert quotas(LABELS, {}, 10) == {"a": 4, "b": 3, "c": 3}


@pytest.mark.parametrize("quantity", [1, 10, 999])
def test_balance_is_never_off_by_more_than_one(quantity):
    counts = Counter(turns(LABELS, {}, quantity))
    assert max(counts.values()) - min(counts[label] for label in LABELS) <= 1
