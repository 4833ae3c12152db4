import pytest

from engine.evaluate.family import holm
from engine.evaluate.trials import Estimate


def family(*ps):
    return [Estimate(0.01, 0.0, 0.02, p, 5) for p in ps]


def adjusted(found):
    return [one.p for one in found]


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    found = holm(family(0.01, 0.04, 0.03))
    assert adjusted(found) == pytest.approx([0.03, 0.06, 0.06])
    assert [one.is_shown for one in found] == [True, False, False]


def test_a_comparison_without_a_p_does_not_count():
    found = holm(family(0.02, None, 0.04))
    assert adjusted(found) == [pytest.approx(0.04), None, pytest.approx(0.04)]
    assert [one.is_shown for one in found] == [True, False, True]
    assert holm([]) == []


def test_with_one_that_was_chosen_all_pairs_count():
    # of 4, one was chosen: its 3 pairs might have been any of 6
    assert adjusted(holm(family(0.001, 0.01, 0.5), chosen_from=4)) == pytest.approx(
        [0.001 * 2 * 3, 0.01 * 2 * 2, 1.0]
    )
    assert adjusted(holm(family(0.04), chosen_from=2)) == pytest.approx([0.04])
