import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.plan.plan import READERS
from engine.search.space import Dimension, Space, key_of
from engine.study.factors import conditions
from engine.study.search_config import Range

CONDITIONAL = """
    [factors]
    shots = [1, 5]
    temperature = [0.5, 1.0]
    learning_rate = [1e-5, 1e-4]
    strategy = ["zero_shot", "few_shot"]
    trainer = ["finetune", "head"]
    quantity = [100]
"""
BUNDLES = """
    [mix]
    real = 20
    [factors]
    "mix.quantity" = [100]
    shots = [1, 5]
    [[factors.recipe]]
    name = "plain"
    strategy = "zero_shot"
    [[factors.recipe]]
    name = "shown"
    strategy = "few_shot"
    shot_rows = 10
    [[factors.recipe]]
    name = "hot"
    strategy = "few_shot"
    temperature = 1.3
"""
TOPICS = """
    [factors]
    quantity = [100]
    rephrase = [true, false]
    topics = [["tea", "rye"], ["soup"]]
    strategy = ["topic", "zero_shot"]
    real = [0, 10]
    epochs = [1, 2.5]
    prior = [{}, {negative = 2.0}]
"""
EXCLUDING = """
    [factors]
    strategy = ["zero_shot", "one_shot", "few_shot"]
    quantity = [100]
    shots = [1, 5]
    temperature = [0.5, 1.0]
    [[exclude]]
    strategy = ["zero_shot", "one_shot"]
    temperature = 1.0
    [[exclude]]
    strategy = "few_shot"
    shots = 5
"""
finite = pytest.mark.parametrize("text", [CONDITIONAL, BUNDLES, TOPICS, EXCLUDING])


def first(given):
    """What draws the level that is given for a factor, and else its first, or lowest."""

    def draw(one):
        lowest = one.tidy(one.range.low) if one.range else one.choices[0].level
        return given.get(one.name, lowest)

    return draw


def names(space):
    return [one.name for one in space.dimensions]


def what_counts(condition):
    """A condition's levels and fields, but for those that its plug-ins do not read."""
    return (
        condition.levels,
        condition.generate.model_dump(include=READERS.generate(condition.generate)),
        condition.curate,
        condition.mix,
        condition.train.model_dump(include=READERS.train(condition.train)),
    )


def test_lists_are_choices_and_the_quantity_is_no_factor(study):
    space = Space(study("[factors]\nquantity = [10, 20]\ntemperature = [0.5, 1]\nreal = [0, 5]"))
    assert names(space) == ["temperature", "real"]
    assert [c.level for c in space.dimensions[0].choices] == [0.5, 1]
    assert space.is_finite


@finite
def test_the_points_of_a_finite_space_are_the_conditions_of_the_studys_grid(study, text):
    file = study(text)
    space = Space(file)
    made = [space.condition(point, 100) for point in space.points()]
    assert list(map(what_counts, made)) == list(map(what_counts, conditions(file, READERS)))


def test_the_points_of_a_space_are_those_that_one_counts_by_hand(study):
    points = list(Space(study(EXCLUDING)).points())
    assert points == [
        {"strategy": "zero_shot", "temperature": 0.5},
        {"strategy": "one_shot", "temperature": 0.5},
        {"strategy": "few_shot", "shots": 1, "temperature": 0.5},
        {"strategy": "few_shot", "shots": 1, "temperature": 1.0},
    ]


def test_a_factor_is_drawn_only_where_it_applies(study):
    space = Space(study(CONDITIONAL))
    plain = space.suggest(first({"strategy": "zero_shot", "trainer": "head", "shots": 5}))
    assert plain == {"strategy": "zero_shot", "trainer": "head", "temperature": 0.5}
    whole = {
        "strategy": "few_shot", "trainer": "finetune", "shots": 5, "temperature": 1.0,
        "learning_rate": 1e-4,
    }  # fmt: skip
    assert space.suggest(first(whole)) == whole


def test_steps_do_not_apply_where_epochs_are_counted(study):
    space = Space(study("[factors]\nsteps = [10, 20]\nwarmup = [0.0]\n[train]\nepochs = 2.0"))
    assert list(space.points()) == [{"warmup": 0.0}]


def test_a_point_becomes_the_condition_of_its_settings_at_a_rung(study):
    space = Space(study(BUNDLES))
    shown = space.condition({"recipe": "shown", "shots": 5}, 30)
    assert (shown.generate.strategy, shown.generate.shots, shown.generate.shot_rows) == (
        "few_shot", 5, 10,
    )  # fmt: skip
    assert (shown.mix.quantity, shown.mix.real, shown.task) == (30, 20, "demo-reviews")
    assert shown.levels == {"mix.quantity": 30, "recipe": "shown", "shots": 5}
    plain = space.condition({"recipe": "plain"}, 90)
    assert plain.levels == {"mix.quantity": 90, "recipe": "plain", "shots": None}
    assert plain.generate.shots == 3


def test_a_drawn_value_of_a_range_is_what_its_field_is_set_to(study):
    space = Space(
        study('[factors]\ntemperature = {low = 0.3, high = 1.3}\n"train.steps" = {low=1, high=9}')
    )
    assert not space.is_finite
    assert [one.is_whole for one in space.dimensions] == [False, True]
    made = space.condition(space.suggest(first({"temperature": 0.72, "train.steps": 7})), 10)
    assert (made.generate.temperature, made.train.steps) == (0.72, 7)
    assert made.levels == {"temperature": 0.72, "train.steps": 7, "quantity": 10}


def test_points_are_told_apart_by_their_levels_in_whatever_order(study):
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    different = [{"a": 1}, {"a": "1"}, {"a": True}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}, {}]
    assert len({key_of(point) for point in different}) == len(different)


numbers = st.floats(-1e6, 1e6).filter(lambda number: number == 0 or abs(number) > 1e-9)


@given(ends=st.lists(numbers, min_size=2, max_size=2, unique=True), share=st.floats(0, 1))
def test_a_value_of_a_range_has_three_digits_or_is_one_of_its_ends(ends, share):
    low, high = sorted(ends)
    one = Dimension("x", (), Range(low=low, high=high), "train.x")
    value = min(max(low + share * (high - low), low), high)
    tidy = one.tidy(value)
    assert low <= tidy <= high
    assert tidy in (low, high) or tidy == float(f"{tidy:.3g}")
    assert tidy in (low, high) or abs(tidy - value) <= 0.00501 * abs(value)
    assert one.tidy(tidy) == tidy


@given(value=st.floats(0.5, 100.5))
def test_a_value_of_a_whole_field_is_whole(value):
    one = Dimension("x", (), Range(low=1, high=100), "train.x", is_whole=True)
    tidy = one.tidy(value)
    assert isinstance(tidy, int)
    assert abs(tidy - value) <= 0.5


def test_a_value_on_a_step_keeps_its_digits_and_loses_the_noise_of_floats():
    one = Dimension("x", (), Range(low=0.0001, high=2.0, step=0.0003), "train.x")
    assert one.tidy(1.2345) == 1.2345
    assert one.tidy(0.1 + 0.2) == 0.3


@finite
def test_the_cover_of_a_finite_space_is_some_of_its_points_with_every_level_that_they_have(
    study, text
):
    space = Space(study(text))
    cover, points = list(space.cover()), list(space.points())
    assert set(map(key_of, cover)) <= set(map(key_of, points))
    assert len(set(map(key_of, cover))) == len(cover)
    assert {(name, level) for one in cover for name, level in one.items()} == {
        (name, level) for one in points for name, level in one.items()
    }


def test_a_cover_has_both_ends_of_every_range_where_it_applies(study):
    space = Space(
        study("""
        [factors]
        shots = {low = 2, high = 7}
        learning_rate = {low = 1e-6, high = 1e-3, log = true}
        strategy = ["zero_shot", "few_shot"]
        trainer = ["head", "finetune"]
        """)
    )
    cover = list(space.cover())
    shown = [one for one in cover if one["strategy"] == "few_shot"]
    assert {one.get("shots") for one in shown} == {2, 7}
    tuned = [one for one in cover if one["trainer"] == "finetune"]
    assert {one.get("learning_rate") for one in tuned} == {1e-6, 1e-3}
    assert not any("learning_rate" in one for one in cover if one["trainer"] == "head")
    assert {(one["strategy"], one["trainer"]) for one in cover} == {
        (strategy, trainer)
        for strategy in ("zero_shot", "few_shot")
        for trainer in ("head", "finetune")
    }


STRATEGY = 'strategy = ["zero_shot", "topic"]'


@pytest.mark.parametrize(
    ("text", "rungs"),
    [
        ("quantity = [100, 300, 900]", [100, 300, 900]),
        ('"mix.quantity" = [5, 7]', [5, 7]),
        ("quantity = [0, 100, 300]", [100, 300]),  # real rows alone, which a grid has too
        ("quantity = [0, 100]\n[search]\nrungs = [7, 70, 700, 7000]", [7, 70, 700, 7000]),
        ("[mix]\nquantity = 900", [100, 300, 900]),
        ("[mix]\nquantity = 900\n[search]\nreduction_factor = 2", [225, 450, 900]),
        ("[mix]\nquantity = 100\n[search]\nreduction_factor = 2.5", [16, 40, 100]),
        ("[mix]\nquantity = 2", [1, 2]),
        ("[mix]\nquantity = 1", [1]),
        ("[mix]\nquantity = 900\n[search]\nrungs = [50]", [50]),
    ],
)
def test_rungs_are_those_of_the_search_or_the_quantities_or_made_of_one(study, text, rungs):
    assert Space(study(f"[factors]\n{STRATEGY}\n{text}")).rungs == rungs


def test_what_the_study_leaves_out_is_no_point(study):
    space = Space(study(EXCLUDING))
    assert space.has({"strategy": "few_shot", "shots": 1, "temperature": 1.0})
    assert not space.has({"strategy": "few_shot", "shots": 5, "temperature": 1.0})
    assert not space.has({"strategy": "one_shot", "temperature": 1.0})


def test_a_point_stays_if_it_is_left_out_at_some_rungs_and_goes_if_at_all(study):
    text = "[factors]\nquantity = [0, 10, 30]\nstrategy = ['zero_shot', 'topic', 'one_shot']\n"
    some = "[[exclude]]\nquantity = [0, 30]\nstrategy = 'topic'\n"
    every = "[[exclude]]\nquantity = [10, 30]\nstrategy = 'one_shot'\n"
    points = list(Space(study(text + some + every)).points())
    assert points == [{"strategy": "zero_shot"}, {"strategy": "topic"}]


def test_points_can_be_left_out_of_a_space_with_ranges(study):
    space = Space(
        study("""
        [factors]
        temperature = {low = 0.3, high = 1.3}
        strategy = ["zero_shot", "topic"]
        [[exclude]]
        strategy = "topic"
        """)
    )
    assert {one["strategy"] for one in space.cover()} == {"zero_shot"}


STARTING = """
    [factors]
    strategy = ["zero_shot", "few_shot"]
    shots = [1, 5]
    temperature = {low = 0.3, high = 1.3}
    steps = {low = 10, high = 90}
    rephrase = [true, false]
    [search]
    start_from = [%s]
"""


@pytest.mark.parametrize(
    ("start", "point"),
    [
        ("{}", {}),
        ("{temperature = 0.7}", {"temperature": 0.7}),
        ("{temperature = 1, steps = 90}", {"temperature": 1, "steps": 90}),
        ("{shots = 5, strategy = 'few_shot'}", {"shots": 5, "strategy": "few_shot"}),
        ("{rephrase = false}", {"rephrase": False}),
    ],
)
def test_a_search_begins_with_what_fixes_some_factors(study, start, point):
    assert Space(study(STARTING % start)).starts == [point]


def test_levels_that_are_lists_can_be_begun_with(study):
    topics = "[factors]\ntopics = [['tea', 'rye'], ['soup']]\n[generate]\nstrategy = 'topic'\n"
    space = Space(study(f"{topics}[search]\nstart_from = [{{topics = ['soup']}}]"))
    (start,) = space.starts
    assert space.condition(start, 10).generate.topics == ["soup"]


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("{strateg = 'few_shot'}", "no factor 'strateg'.* Did you mean 'strategy'"),
        ("{quantity = 10}", "no factor 'quantity' is searched"),
        ("{strategy = 'few_shots'}", "strategy has no level 'few_shots'. Did you mean 'few_shot'"),
        ("{strategy = 'few_shot', shots = 3}", "shots has no level 3"),
        ("{strategy = 'few_shot', shots = true}", "shots has no level True"),
        ("{rephrase = 1}", "rephrase has no level 1"),
        ("{temperature = 1.4}", "temperature is 1.4, which is not within 0.3 and 1.3"),
        ("{temperature = 0.29}", "temperature is 0.29"),
        ("{temperature = 'hot'}", "temperature is 'hot'"),
        ("{temperature = true}", "temperature is True"),
        ("{steps = 91}", "steps is 91, which is not within 10 and 90"),
        ("{strategy = 'zero_shot', shots = 5}", "shots does not apply to the rest of .*zero_shot"),
    ],
)
def test_a_wrong_start_is_refused_with_its_factor(study, start, says):
    with pytest.raises(ConfigError, match=rf"^study\.toml, \[search\] start_from: {says}"):
        Space(study(STARTING % start))


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ("", "nothing to search"),
        ("quantity = [10, 20]", "nothing to search"),
        ("temperatur = {low = 0.3, high = 1.3}", "Did you mean 'temperature'"),
        ("strategy = {low = 1, high = 2}", "'strategy' is a range, but .*strategy is no number"),
        ("rephrase = {low = 0, high = 1}", "'rephrase' is a range, but .*rephrase is no number"),
        ("stop = {low = 0, high = 1}", "stop is no number"),
        ("class_weights = {low = 0, high = 1}", "class_weights is no number"),
        ("shots = {low = 1.5, high = 3}", r"generate\.shots is a whole number, and 1\.5 is none"),
        ("shots = {low = 1, high = 3.5}", r"generate\.shots is a whole number, and 3\.5 is none"),
        ("evaluate_every = {low = 0.5, high = 3}", "evaluate_every is a whole number"),
        ("temperature = {low = 0.3, high = 20}", "temperature is 20"),
        ("temperature = {low = -1, high = 2}", "temperature is -1"),
        ("epochs = {low = 0, high = 2}", "epochs is 0"),
        ("temperature = {low = 1.5, high = 1.3}", r"factors\.temperature: .*1\.5.* below high"),
        ("temperature = {low = 1.3, high = 1.3}", r"factors\.temperature: .* below high"),
        ("temperature = {low = 0, high = 1, log = true}", r"factors\.temperature: .*log scale"),
        (
            "temperature = {low = 0.1, high = 1, log = true, step = 0.1}",
            r"factors\.temperature: .*a log scale or a step",
        ),
        ("temperature = {low = 0.1, high = 1, step = 0}", r"factors\.temperature\.step is 0"),
        ("temperature = {low = 0.1, high = 1, stp = 0.1}", "Did you mean 'step'"),
        ("temperature = {low = 0.1}", r"factors\.temperature\.high' is missing"),
        (f"{STRATEGY}\nquantity = {{low = 10, high = 90}}", "quantity is a range"),
        (f"{STRATEGY}\nquantity = [30, 10]", "quantity: rungs rise, but 10 comes after 30"),
        (f"{STRATEGY}\nquantity = [0]", "a rung has at least one synthetic row"),
        (f"{STRATEGY}\nquantity = [10, 0]", "a rung has at least one synthetic row"),
        (f"{STRATEGY}\n'generate.strategy' = ['topic']", r"both set generate\.strategy"),
        ("temperature = {low = 0.3, high = 1}\n'generate.temperature' = [1]", "both set generate"),
        (
            "recipe = [{name = 'a', quantity = 10, shots = 1}, {name = 'b', shots = 2}]",
            "'recipe' sets quantity",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_with_its_name(study, factors, says):
    with pytest.raises(ConfigError, match=rf"(?s)^study\.toml.*{says}"):
        Space(study(f"[factors]\n{factors}"))


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("rungs = [30, 10]", r"search\.rungs .*rungs rise, but 10 comes after 30"),
        ("rungs = [10, 10]", r"search\.rungs .*rungs rise"),
        ("rungs = [0, 10]", r"search\.rungs\.0 is 0"),
        ("rungs = []", r"search\.rungs is \[\]"),
        ("objectives = ['score', 'money']", r"search\.objectives\.1 is 'money'"),
        ("objectives = ['tokens', 'score']", r"search\.objectives .*the first is \"score\""),
        ("objectives = []", r"search\.objectives .*the first is \"score\""),
        ("objectives = ['score', 'tokens', 'tokens']", r"search\.objectives .*twice"),
        ("sampler = 'grid'", "sampler is 'grid', but 'temperature' is a range"),
        ("sampler = 'tpee'", r"search\.sampler is 'tpee'"),
        ("stopping = 'never'", r"search\.stopping is 'never'"),
        ("reduction_factor = 1", r"search\.reduction_factor is 1"),
        ("rung = [10]", r"search\.rung'\. Did you mean 'rungs'"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_with_the_key(study, search, says):
    factors = f"[factors]\n{STRATEGY}\ntemperature = {{low = 0.3, high = 1.3}}"
    with pytest.raises(ConfigError, match=rf"(?s)^study\.toml.*{says}"):
        Space(study(f"[search]\n{search}\n{factors}"))


@pytest.mark.parametrize(
    ("exclude", "says"),
    [
        ("temperature = 0.5", "temperature is a range, of which no single level"),
        ("strateg = 'topic'", "no factor 'strateg'. Did you mean 'strategy'"),
        ("strategy = 'topik'", "strategy has no level 'topik'. Did you mean 'topic'"),
        ("quantity = 11", "quantity has no level 11"),
    ],
)
def test_an_exclusion_of_what_is_not_there_is_refused(study, exclude, says):
    text = f"[search]\nrungs = [10, 30]\n[factors]\n{STRATEGY}\n"
    text += f"temperature = {{low = 0.3, high = 1.3}}\n[[exclude]]\n{exclude}"
    with pytest.raises(ConfigError, match=rf"^study\.toml, \[\[exclude\]\]: {says}"):
        Space(study(text))


def test_a_search_of_several_tasks_is_refused_with_a_way_to_choose_one(study):
    file = study(f"[factors]\n{STRATEGY}", task='["demo-support", "demo-reviews"]')
    says = r"""^study\.toml: a search has one task; .*--set 'task="demo-support"'"""
    with pytest.raises(ConfigError, match=says):
        Space(file)


def test_a_study_that_is_run_has_no_ranges_and_says_what_tries_them(study):
    file = study(f"[factors]\n{STRATEGY}\ntemperature = {{low = 0.3, high = 1.3}}")
    says = r"^study\.toml: the factor 'temperature' is a range, .*`textmill search`"
    with pytest.raises(ConfigError, match=says):
        conditions(file, READERS)
