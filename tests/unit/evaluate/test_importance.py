import pytest

from engine.evaluate.importance import importance

GRID = [{"recipe": recipe, "quantity": quantity} for recipe in "abc" for quantity in (100, 200)]


def score(own, recipe=0.0, quantity=0.0):
    return recipe * "abc".index(own["recipe"]) + quantity * own["quantity"] / 100


def test_factors_share_what_conditions_differ_in():
    means = [score(own, recipe=0.02, quantity=0.04) for own in GRID]
    # sums of squares: recipes 2 * (0.02^2 * 2) * 2 / 2, quantities 6 * 0.02^2
    recipes, quantities = 4 * 0.02**2, 6 * 0.02**2
    for name, own in (("recipe", recipes), ("quantity", quantities)):
        found = importance(name, GRID, means, 0.0)
        assert found.share == pytest.approx(own / (recipes + quantities))
        assert found.conditions == 6


def test_what_noise_alone_would_give_is_taken_off():
    means = [score(own, recipe=0.02, quantity=0.04) for own in GRID]
    recipes, quantities, noise = 4 * 0.02**2, 6 * 0.02**2, 0.0002
    # noise gives each of the 2 and 1 differences between levels, and the 5 between all, its share
    whole = recipes + quantities - 5 * noise
    found = [importance(name, GRID, means, noise).share for name in ("recipe", "quantity")]
    assert found == pytest.approx([(recipes - 2 * noise) / whole, (quantities - noise) / whole])
    assert importance("recipe", GRID, means, 1.0).share == 0


def test_a_factor_that_varies_nowhere_has_none():
    levels = [{"recipe": "a", "quantity": quantity} for quantity in (1, 2)]
    assert importance("recipe", levels, [0.1, 0.2], 0.0) is None
    assert importance("quantity", levels, [0.1, 0.2], 0.0).share == pytest.approx(1)


def test_it_is_told_of_the_conditions_that_a_factor_applies_to():
    levels = [{"strategy": "few", "shots": 3}, {"strategy": "few", "shots": 5}]
    levels += [{"strategy": "zero", "shots": None}] * 2
    found = importance("shots", levels, [0.8, 0.9, 0.1, 0.1], 0.0)
    assert (found.share, found.conditions) == (pytest.approx(1), 2)
    assert importance("strategy", levels, [0.8, 0.9, 0.1, 0.1], 0.0).share > 0.9
