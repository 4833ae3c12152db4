import pytest

from engine.fingerprint import canonical, content_hash, fingerprint


def test_the_order_of_keys_does_not_matter():
    assert canonical({"a": 1, "b": [2.5, None]}) == canonical({"b": [2.5, None], "a": 1})


def test_every_part_of_a_step_counts():
    base = fingerprint("pool", 1, {"a": 1}, {"in": "x"})
    others = [
        fingerprint("view", 1, {"a": 1}, {"in": "x"}),
        fingerprint("pool", 2, {"a": 1}, {"in": "x"}),
        fingerprint("pool", 1, {"a": 2}, {"in": "x"}),
        fingerprint("pool", 1, {"a": 1}, {"in": "y"}),
        fingerprint("pool", 1, {}, {"a": 1, "in": "x"}),
    ]
    assert len({base, *others}) == 6


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), float("inf"), {1: 2}, b"x"])
def test_a_value_without_a_stable_form_is_an_error(value):
    with pytest.raises(TypeError, match="value"):
        canonical({"deep": [value]})


def test_borders_between_fields_and_rows_count():
    rows = [[["ab", "c"]], [["a", "bc"]], [["ab"], ["c"]], [["ab", "c", None]], []]
    assert len({content_hash(one) for one in rows}) == len(rows)
