"""Mean cosines, set beside a loop over every pair."""

import numpy as np
import pytest

from engine.diagnose.similarity import as_texts, cross_similarity, inter_similarity
from engine.steps.mix import Example


def random_rows(count, dimensions=8, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cosine(one, other):
    one, other = one.astype(np.float64), other.astype(np.float64)
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.mark.parametrize("count", [2, 3, 40])
def test_within_rows_it_is_the_mean_over_pairs_of_different_rows(count):
    rows = random_rows(count)
    pairs = [cosine(rows[i], rows[j]) for i in range(count) for j in range(count) if i != j]
    assert inter_similarity(rows) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_between_two_sets_it_is_the_mean_over_all_pairs():
    rows, others = random_rows(7), random_rows(11, seed=1)
    pairs = [cosine(one, other) for one in rows for other in others]
    assert cross_similarity(rows, others) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert cross_similarity(others, rows) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_worked_by_hand():
    east, north, west = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
    assert inter_similarity(np.array([east, north])) == pytest.approx(0)
    assert inter_similarity(np.array([east, west])) == pytest.approx(-1)
    # six ordered pairs: east-east twice at 1, east-west four times at -1
    assert inter_similarity(np.array([east, east, west])) == pytest.approx(-1 / 3)
    # the mean of (1, 0) and (0, 1) is (1/2, 1/2)
    assert cross_similarity(np.array([east, north]), np.array([east])) == pytest.approx(0.5)


def test_rows_that_are_the_same_come_to_one():
    same = np.repeat(random_rows(1, 384), 1000, axis=0)
    assert inter_similarity(same) == pytest.approx(1, abs=1e-12)
    assert cross_similarity(same, same[:5]) == pytest.approx(1, abs=1e-12)


def test_length_does_not_count():
    rows, others = random_rows(5), random_rows(4, seed=1)
    longer = rows * np.array([[1], [2], [3], [4], [5]], np.float32)
    assert inter_similarity(longer) == pytest.approx(inter_similarity(rows), abs=1e-6)
    assert cross_similarity(longer, others) == pytest.approx(
        cross_similarity(rows, others), abs=1e-6
    )


def test_too_few_rows_have_none():
    assert inter_similarity(random_rows(1)) is None
    assert inter_similarity(random_rows(0)) is None
    assert cross_similarity(random_rows(1), random_rows(1)) == pytest.approx(1)
    assert cross_similarity(random_rows(3), random_rows(0)) is None
    assert cross_similarity(random_rows(0), random_rows(3)) is None


def test_a_pair_is_embedded_as_two_lines_and_a_text_as_it_is():
    assert as_texts([Example("a", "one", None), Example("a", "one", "two")]) == ["one", "one\ntwo"]
