import pytest

from engine.errors import ConfigError
from engine.prompts.strategy import STRATEGIES, Shot, strategy_class
from engine.store.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import load_task

SHOTS = [Shot(str(n), ("negative", "positive")[n % 2], f"text {n}", None) for n in range(10)]
TEMPLATES = {"negative": ["{thing} is bad {index}"], "positive": ["{thing} is good {index}"]}
CONFIG = GenerateConfig(
    shots=3,
    templates=TEMPLATES,
    attributes={"thing": ["tea", "jam", "rye"]},
    topics=["a day at sea", "the dentist"],
)


@pytest.fixture(params=sorted(STRATEGIES))
def strategy(request, tmp_path):
    return strategy_class(request.param)(load_task("sst2", tmp_path), CONFIG, SHOTS)


def row(index, slot="positive", pool="p"):
    return RowId(pool * 64, slot, index)


def test_a_prompt_follows_from_its_row_alone(strategy):
    forwards = [strategy.ask(row(index)) for index in range(20)]
    backwards = [strategy.ask(row(index)) for index in reversed(range(20))][::-1]
    assert forwards == backwards


def test_labels_have_prompts_of_their_own(strategy):
    assert strategy.ask(row(0, "positive")).text != strategy.ask(row(0, "negative")).text


def test_what_a_strategy_reads_are_fields(strategy):
    assert strategy.reads <= set(GenerateConfig.model_fields)


def test_few_shot_shows_a_row_of_the_label_first_and_each_row_once(tmp_path):
    few_shot = strategy_class("few_shot")(load_task("sst2", tmp_path), CONFIG, SHOTS)
    firsts = set()
    for index in range(40):
        asked = few_shot.ask(row(index, "negative"))
        shown = asked.attributes["shots"]
        assert len(set(shown)) == 3
        assert int(shown[0]) % 2 == 0
        assert all(f"text {shot}" in asked.text for shot in shown)
        firsts.add(shown[0])
    assert len(firsts) == 5


def test_one_shot_shows_one_row_of_the_label_and_in_time_each(tmp_path):
    one_shot = strategy_class("one_shot")(load_task("sst2", tmp_path), CONFIG, SHOTS)
    seen = set()
    for index in range(60):
        asked = one_shot.ask(row(index, "negative"))
        (shown,) = asked.attributes["shots"]
        assert f"text {shown}" in asked.text
        assert sum(f"text {shot.id}" in asked.text for shot in SHOTS) == 1
        seen.add(int(shown))
    assert seen == {0, 2, 4, 6, 8}


def test_a_topic_is_drawn_for_each_row_and_named_in_its_prompt(tmp_path):
    topic = strategy_class("topic")(load_task("sst2", tmp_path), CONFIG, [])
    drawn = []
    for index in range(40):
        asked = topic.ask(row(index))
        assert f"Consider this topic: {asked.attributes['topic']}." in asked.text
        drawn.append(asked.attributes["topic"])
    assert set(drawn) == set(CONFIG.topics)
    assert 5 < drawn.count("the dentist") < 35


def test_a_study_s_topics_stand_before_the_task_s(tmp_path):
    task = load_task("sst2", tmp_path).model_copy(update={"topics": ["the task's own"]})
    own = strategy_class("topic")(task, GenerateConfig(), []).ask(row(0))
    assert own.attributes == {"topic": "the task's own"}
    other = strategy_class("topic")(task, GenerateConfig(topics=["mine"]), []).ask(row(0))
    assert other.attributes == {"topic": "mine"}


def test_a_task_without_topics_needs_those_of_a_study(tmp_path):
    task = load_task("sst2", tmp_path).model_copy(update={"topics": None})
    with pytest.raises(ConfigError, match="needs topics, and the task 'sst2' has none"):
        strategy_class("topic")(task, GenerateConfig(), SHOTS)


def test_draws_differ_between_pools(tmp_path):
    few_shot = strategy_class("few_shot")(load_task("sst2", tmp_path), CONFIG, SHOTS)
    one = [few_shot.ask(row(index, pool="p")).attributes for index in range(10)]
    assert one != [few_shot.ask(row(index, pool="q")).attributes for index in range(10)]


@pytest.mark.parametrize(
    ("name", "config", "shots", "says"),
    [
        ("few_shot", GenerateConfig(shots=11), SHOTS, "shots is 11, but there are only 10"),
        ("few_shot", GenerateConfig(shots=2), SHOTS[::2], "has the label 'positive'"),
        ("one_shot", GenerateConfig(), SHOTS[::2], "has the label 'positive'"),
        ("template", GenerateConfig(), SHOTS, "no list for the label 'negative'"),
        (
            "template",
            GenerateConfig(templates={"negative": ["{x}"], "positive": ["y"]}),
            SHOTS,
            r"no values for the slots \['x'\]",
        ),
    ],
)
def test_a_recipe_that_cannot_be_worded_is_refused(tmp_path, name, config, shots, says):
    with pytest.raises(ConfigError, match=says):
        strategy_class(name)(load_task("sst2", tmp_path), config, shots)
