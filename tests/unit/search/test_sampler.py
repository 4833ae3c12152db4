import math
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.search.sampler import Sampler
from engine.search.space import Space, key_of

SMALL = """
    [factors]
    shots = [1, 5]
    strategy = ["zero_shot", "few_shot", "topic"]
    temperature = [0.5, 0.7, 1.0]
    rephrase = [true, false]
    [[exclude]]
    strategy = "topic"
    temperature = [0.5, 1.0]
    [[exclude]]
    strategy = "few_shot"
    rephrase = true
"""
LARGE = """
    [factors]
    learning_rate = {low = 1e-6, high = 1e-2, log = true}
    temperature = {low = 0.3, high = 1.3}
    top_p = {low = 0.5, high = 1.0}
"""
LEVELS = """
    [factors]
    temperature = [0.5, 0.7, 0.9, 1.1]
    top_p = [0.7, 0.8, 0.9, 1.0]
    min_words = [1, 2, 3, 4]
    max_words = [100, 200, 300, 400]
    warmup = [0.0, 0.1, 0.2, 0.3]
"""
SAMPLERS = ("tpe", "random", "grid")


def sampled(study, factors, **search):
    """A space and a sampler of it; values are as TOML has them."""
    given = "".join(f"{key} = {value!r}\n" for key, value in search.items())
    file = study(f"{factors}\n[search]\n{given}".replace("True", "true").replace("False", "false"))
    space = Space(file)
    return space, Sampler(space, file.study.search)


def quality(point):
    """How good a point of LARGE is: 0 at best."""
    rate = (math.log10(point["learning_rate"]) + 3.5) / 4
    return -(rate**2 + (point["temperature"] - 1) ** 2 + 4 * (point["top_p"] - 0.9) ** 2)


def number_of(point):
    """Some number from 0 to 1 that is the same for the same point."""
    return int.from_bytes(key_of(point)[-9:-1]) % 1000 / 1000


def proposals(sampler, count, worth=number_of):
    """Ask so often, or until nothing is left, and tell of whole trials."""
    found = []
    while len(found) < count and (proposed := sampler.ask()):
        found.append(proposed.point)
        sampler.tell(proposed.number, [worth(proposed.point)], is_whole=True)
    return found


@pytest.mark.parametrize(
    ("factor", "tried"),
    [
        ("temperature = {low = 1.0, high = 1.02}", {1.0, 1.01, 1.02}),
        ("temperature = {low = 0.3, high = 0.9, step = 0.2}", {0.3, 0.5, 0.7, 0.9}),
        ("warmup = {low = 0, high = 0.3, step = 0.1}", {0.0, 0.1, 0.2, 0.3}),
        ("learning_rate = {low = 1e-4, high = 1.02e-4, log = true}", {1e-4, 1.01e-4, 1.02e-4}),
        ("steps = {low = 1, high = 4}", {1, 2, 3, 4}),
        ("steps = {low = 1, high = 9, step = 4}", {1, 5, 9}),
        ("steps = {low = 2, high = 5, log = true}", {2, 3, 4, 5}),
    ],
)
def test_a_narrow_range_is_tried_out_from_end_to_end_and_then_there_is_no_more(
    study, factor, tried
):
    _, sampler = sampled(study, f"[factors]\n{factor}", sampler="random")
    found = [value for point in proposals(sampler, 100) for value in point.values()]
    assert sorted(found) == sorted(tried)
    assert {type(value) for value in found} == {type(value) for value in tried}
    assert sampler.ask() is None


def test_values_of_a_range_have_three_digits(study):
    _, sampler = sampled(study, LARGE, sampler="random")
    for point in proposals(sampler, 50, quality):
        assert {name: float(f"{value:.3g}") for name, value in point.items()} == point


def test_on_a_log_scale_half_of_the_values_lie_below_the_geometric_mean(study):
    ends = "low = 1e-6, high = 1e-2"
    shares = {}
    for scale in ("true", "false"):
        text = f"[factors]\nlearning_rate = {{{ends}, log = {scale}}}"
        _, sampler = sampled(study, text, sampler="random")
        shares[scale] = mean(one["learning_rate"] < 1e-4 for one in proposals(sampler, 200))
    assert 0.4 < shares["true"] < 0.6
    assert shares["false"] < 0.05


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_point_of_a_finite_space_is_proposed_once_and_then_nothing(study, kind):
    space, sampler = sampled(study, SMALL, sampler=kind)
    found = proposals(sampler, 1000)
    assert sorted(map(key_of, found)) == sorted(map(key_of, space.points()))
    assert [sampler.ask(), sampler.ask()] == [None, None]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_trials_are_numbered_in_the_order_in_which_they_are_proposed(study, kind):
    space, sampler = sampled(study, SMALL, sampler=kind)
    proposed = [sampler.ask() for _ in range(5)]
    assert [one.number for one in proposed] == [0, 1, 2, 3, 4]
    assert all(space.has(one.point) for one in proposed)


def test_a_grid_is_tried_in_its_order(study):
    space, sampler = sampled(study, SMALL, sampler="grid")
    assert proposals(sampler, 1000) == list(space.points())


@pytest.mark.parametrize("kind", SAMPLERS)
def test_what_is_to_begin_with_comes_first_in_its_order_and_once(study, kind):
    starts = [
        {"strategy": "topic", "temperature": 0.7, "rephrase": False},
        {"strategy": "few_shot", "shots": 5, "rephrase": False},
        {"strategy": "zero_shot", "temperature": 1.0, "rephrase": True},
    ]
    text = ", ".join(
        "{" + ", ".join(f"{name} = {value!r}" for name, value in one.items()) + "}"
        for one in starts
    )
    factors = f"{SMALL}\n[search]\nsampler = '{kind}'\nstart_from = [{text}]"
    file = study(factors.replace("True", "true").replace("False", "false"))
    space = Space(file)
    found = proposals(Sampler(space, file.study.search), 1000)
    assert [found[0], found[2]] == [starts[0], starts[2]]
    assert starts[1].items() < found[1].items()
    assert sorted(map(key_of, found)) == sorted(map(key_of, space.points()))
    if kind == "grid":
        assert found[3:] == [point for point in space.points() if point not in found[:3]]


def told_as_it_came(sampler, count):
    """Ask, three trials at a time, and tell of stopped, whole and failed ones; return what came."""
    found = []
    for _ in range(count // 3):
        asked = [sampler.ask() for _ in range(3)]
        for number, point in asked:
            found.append(point)
            score = quality(point)
            sampler.tell_rung(number, 10, score)
            values, is_whole = ([score], number % 3 == 0) if number % 7 else (None, False)
            sampler.tell(number, values, is_whole=is_whole)
    return found


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_the_seed_and_what_was_told_alone_decide_what_is_proposed(study, kind):
    search = {"sampler": kind, "startup": 5}
    runs = [
        told_as_it_came(sampled(study, LARGE, seed=seed, **search)[1], 30) for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1]
    assert not {key_of(point) for point in runs[0]} & {key_of(point) for point in runs[2]}


def test_the_order_in_which_a_random_search_takes_the_rest_of_a_grid_follows_its_seed(study):
    orders = [
        proposals(sampled(study, SMALL, sampler="random", seed=seed)[1], 99) for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("startup", [3, 8])
def test_tpe_draws_at_random_to_begin_with_and_then_looks_at_what_it_was_told(study, startup):
    def run(worth):
        return proposals(sampled(study, LARGE, startup=startup)[1], startup + 1, worth)

    good, bad = run(quality), run(lambda point: -quality(point))
    assert good[:startup] == bad[:startup]
    assert good[startup] != bad[startup]


def test_a_random_search_does_not_look_at_what_it_was_told(study):
    def run(worth):
        return proposals(sampled(study, LARGE, sampler="random")[1], 12, worth)

    assert run(quality) == run(lambda point: -quality(point))


told = st.lists(
    st.tuples(
        st.integers(1, 4),  # trials that are at work at a time
        st.sampled_from(["whole", "stopped", "stopped at once", "failed", "failed late"]),
        st.floats(0, 1),
    ),
    max_size=12,
)


@settings(max_examples=10, deadline=None)
@given(
    story=told,
    kind=st.sampled_from(SAMPLERS),
    objectives=st.sampled_from([["score"], ["score", "tokens"], ["score", "seconds", "tokens"]]),
    seed=st.integers(0, 3),
)
def test_nothing_is_proposed_twice_whatever_trials_come_to(study, story, kind, objectives, seed):
    space, sampler = sampled(
        study, SMALL, sampler=kind, objectives=objectives, seed=seed, startup=2
    )
    points, found, at_work = list(space.points()), [], []
    for width, end, score in story:
        while len(at_work) < width and len(found) < len(points):
            proposed = sampler.ask()
            found.append(proposed.point)
            at_work.append(proposed.number)
        if not at_work:
            break
        number = at_work.pop(0)
        if end not in ("failed", "stopped at once"):
            sampler.tell_rung(number, 10, score)
        if end == "whole":
            sampler.tell_rung(number, 30, score)
        values = None if end.startswith("failed") else [score, 10.0, 20.0][: len(objectives)]
        sampler.tell(number, values, is_whole=end == "whole")
    assert len(set(map(key_of, found))) == len(found)
    assert all(point in points for point in found)


def best_of(study, factors, count, worth, **search):
    """The mean over seeds of the best that a sampler came upon."""
    bests = []
    for seed in range(6):
        _, sampler = sampled(study, factors, seed=seed, **search)
        bests.append(max(map(worth, proposals(sampler, count, worth))))
    return mean(bests)


def test_tpe_finds_better_values_than_chance(study):
    tpe, random = (best_of(study, LARGE, 30, quality, sampler=kind) for kind in ("tpe", "random"))
    assert tpe > random / 2  # both below 0: half as far from the best


def test_tpe_finds_better_levels_than_chance(study):
    space, _ = sampled(study, LEVELS)
    places = {
        (one.name, choice.level): place
        for one in space.dimensions
        for place, choice in enumerate(one.choices)
    }

    def worth(point):  # of 15
        return sum(places[level] for level in point.items())

    tpe, random = (best_of(study, LEVELS, 30, worth, sampler=kind) for kind in ("tpe", "random"))
    assert tpe > random + 1


def best_of_stopped(study, kind):
    """As ``best_of``, where every trial is stopped, and known by its score at a rung alone."""
    bests = []
    for seed in range(6):
        _, sampler = sampled(study, LARGE, sampler=kind, seed=seed)
        found = []
        for _ in range(30):
            number, point = sampler.ask()
            found.append(quality(point))
            sampler.tell_rung(number, 10, found[-1])
            sampler.tell(number, [found[-1]], is_whole=False)
        bests.append(max(found))
    return mean(bests)


def test_tpe_learns_from_trials_that_were_stopped_too(study):
    assert best_of_stopped(study, "tpe") > best_of_stopped(study, "random") / 2


def test_tpe_holds_a_trial_that_became_whole_above_one_that_was_stopped(study):
    _, sampler = sampled(study, LARGE)
    late = []
    for at in range(40):
        number, point = sampler.ask()
        is_whole = point["temperature"] < 0.8
        score = 0.5 if is_whole else 0.9  # at the first rung, which says less
        sampler.tell_rung(number, 10, score)
        sampler.tell(number, [score], is_whole=is_whole)
        late += [is_whole] * (at >= 15)
    assert mean(late) > 0.5


@pytest.mark.parametrize("objectives", [["score", "tokens"], ["score", "seconds", "tokens"]])
def test_scores_are_to_be_high_and_what_they_take_low(study, objectives):
    def late(kind):
        found = []
        for seed in range(4):
            _, sampler = sampled(study, LARGE, sampler=kind, objectives=objectives, seed=seed)
            for at in range(40):
                number, point = sampler.ask()
                score, cost = point["top_p"], point["temperature"]
                sampler.tell(number, [score, cost, cost][: len(objectives)], is_whole=True)
                if at >= 20:
                    found.append((score, cost))
        return [mean(values) for values in zip(*found, strict=True)]

    (score, cost), (chance_score, chance_cost) = late("tpe"), late("random")
    assert score > chance_score + 0.05
    assert cost < chance_cost - 0.1
