"""Recipes that take several calls, and calls that leave the label, or the topics, to the LLM."""

import json
from collections import Counter
from pathlib import Path

import pytest
from offline_fill import OfflineFill

from engine.curate.judging import curate_slot
from engine.errors import ConfigError
from engine.findings.gather import _unlisted
from engine.make.demand import Demand
from engine.mix.training_set import ordered_rows, training_set
from engine.plan.plan import make_plan
from engine.prompts.topic_list import topics_in
from engine.status.stale import astray
from engine.status.survey import survey
from engine.steps.parent import Parent
from engine.study.load import load_study

TASK = """
name = "facts"
topics = ["rivers", "clocks", "bread"]
[labels]
yes = "it is so"
no = "it is not so"
[fields]
text_pair = "Passage"
text = "Question"
[wording]
request = "Write a passage and a question with the answer {label}."
row = "Passage: {text_pair}\\nQuestion: {text}\\nAnswer: {label}"
free = "Write a passage and a question."
rephrase = "Ask this in other words: {text}"
topics = "subjects"
[wording.calls]
first = "Write a passage."
field = "text_pair"
second = "Ask something that is answered by {label}."
second_free = "Ask something."
[splits]
train = "train.jsonl"
validation = "validation.jsonl"
test = "test.jsonl"
"""

STUDY = """
name = "calls"
task = "facts.toml"
repeats = 1
[generate]
engine = "standin_llm:StandIn"
[train]
model = "./model"
steps = 2
[mix]
quantity = 40
"""


@pytest.fixture
def study(tmp_path, tiny_model):
    """The path of a study of a task whose rows take two calls."""
    for place, split in enumerate(("train", "validation", "test")):
        rows = [
            {
                "text": f"is it so in {split} {number}",
                "text_pair": f"passage {place} of {number}",
                "label": ("yes", "no")[number % 2],
            }
            for number in range(20)
        ]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "facts.toml").write_text(TASK)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "model").symlink_to(tiny_model)
    return tmp_path / "study.toml"


def labels(rows):
    return Counter(row["label"] for row in rows)


def test_a_pair_is_written_in_two_calls_and_each_question_has_a_passage_of_its_own(study):
    done = OfflineFill(study).fill()
    rows, passages = done.rows("facts-zero_shot"), done.rows("facts-zero_shot-first")
    assert labels(rows)["yes"] >= 20 <= labels(rows)["no"]
    assert len({row["text_pair"] for row in rows}) == len(rows)
    by_id = {row["id"]: row for row in passages}
    for row in rows:
        drawn = json.loads(row["attributes"])
        assert by_id[drawn["from"]]["text_pair"] == row["text_pair"]
        assert row["text_pair"] in row["prompt"]
    assert {row["text"] for row in passages} == {None}
    assert {row["label"] for row in passages} == {None}


def test_the_labels_of_questions_take_turns_in_the_passages(study):
    done = OfflineFill(study).fill()
    numbers = {}
    for row in done.rows("facts-zero_shot-first"):
        numbers[row["id"]] = len(numbers)
    used = {
        (row["slot"], row["index"]): numbers[json.loads(row["attributes"])["from"]]
        for row in done.rows("facts-zero_shot")
    }
    assert [used["yes", index] for index in range(4)] == [0, 2, 4, 6]
    assert [used["no", index] for index in range(4)] == [1, 3, 5, 7]


def test_a_first_call_names_no_label_but_after_an_example_of_one(study):
    plain = OfflineFill(study).fill()
    assert {slot for label, slot, _ in plain.asked if label == "facts-zero_shot-first"} == {"-"}
    shown = OfflineFill(study, ["generate.strategy=one_shot"], root="other").fill()
    firsts = {key: one for key, one in shown.asked.items() if key[0] == "facts-one_shot-first"}
    assert {slot for _, slot, _ in firsts} == {"yes", "no"}
    for (_, slot, _), one in firsts.items():
        assert f"Answer: {slot}" in one.text
    asked = shown.asked["facts-one_shot", "yes", 0]
    assert "answered by yes" in asked.text
    assert asked.attributes["shots"] == firsts["facts-one_shot-first", "yes", 0].attributes["shots"]


def test_few_shot_asks_for_the_pair_in_one_call(study):
    done = OfflineFill(study, ["generate.strategy=few_shot"]).fill()
    assert [pool.label for pool in done.plan.pools] == ["facts-few_shot"]
    assert all(row["text"] and row["text_pair"] for row in done.rows("facts-few_shot"))


def test_rephrasing_keeps_label_and_passage_and_does_not_show_the_label(study):
    done = OfflineFill(study, ["generate.rephrase=true"]).fill()
    before = {row["id"]: row for row in done.rows("facts-zero_shot")}
    after = done.rows("facts-zero_shot-rephrased")
    assert labels(after)["yes"] >= 20 <= labels(after)["no"]
    for row in after:
        source = before[json.loads(row["attributes"])["from"]]
        assert (row["label"], row["text_pair"]) == (source["label"], source["text_pair"])
        assert row["text"] != source["text"]
        assert source["text"] in row["prompt"]
        assert "yes" not in row["prompt"].replace(source["text"], "")


def test_the_rows_before_and_after_rephrasing_are_arms_that_share_their_pool(study):
    both = make_plan(load_study(study, ["factors.rephrase=[false, true]"]))
    plain = make_plan(load_study(study))
    assert [pool.label for pool in both.pools] == [
        "facts-zero_shot-first", "facts-zero_shot", "facts-zero_shot-rephrased",
    ]  # fmt: skip
    assert {pool.fingerprint for pool in plain.pools} <= {pool.fingerprint for pool in both.pools}
    assert len(both.conditions) == 2


def test_left_to_right_the_llm_says_the_label(study):
    done = OfflineFill(
        study, ["generate.labelling=left_to_right", "generate.strategy=few_shot"]
    ).fill()
    assert done.pool("facts-few_shot").slots == ["-"]
    rows = done.rows("facts-few_shot")
    assert labels(rows)["yes"] >= 20 <= labels(rows)["no"]
    for row in rows:
        assert row["completion"].endswith(f"Answer: {row['label']}")
    (ready,) = survey(done.plan, done.store).ready
    train = done.plan.gold["facts"]["train"].table
    rows = training_set(done.store, ready.runs[0].mix, ordered_rows(train, 0))
    assert labels([one._asdict() for one in rows.examples]) == {"yes": 20, "no": 20}
    assert rows.outline == ready.rows


def test_left_to_right_works_in_two_calls_and_rephrased(study):
    free = ["generate.labelling=left_to_right", "generate.rephrase=true"]
    done = OfflineFill(study, free).fill()
    assert done.pool("facts-zero_shot").slots == ["-"]
    assert done.pool("facts-zero_shot-rephrased").slots == ["yes", "no"]
    before = {row["id"]: row for row in done.rows("facts-zero_shot")}
    for row in done.rows("facts-zero_shot-rephrased"):
        assert before[json.loads(row["attributes"])["from"]]["label"] == row["label"]


def test_a_label_that_the_llm_seldom_writes_is_made_up_for_or_said_to_be_short(study):
    asked = ["generate.engine=standin_llm:Vague", "generate.labelling=left_to_right", "quantity=80"]
    done = OfflineFill(study, [*asked, "generate.strategy=few_shot"]).fill()
    rows, refused = done.rows("facts-few_shot"), done.rows("facts-few_shot", "refused")
    assert {row["reason"] for row in refused} == {"unknown_label"}
    assert {row["label"] for row in refused} == {None}
    # four rows for each that is wanted, and no more; an eighth of them are of the second label
    assert len(rows) + len(refused) == 320
    (ready,) = survey(done.plan, done.store).ready
    assert ready.rows.short == 0
    fewer = OfflineFill(
        study, [*asked, "generate.strategy=few_shot", "quota.attempts=2"], "two"
    ).fill()
    (ready,) = survey(fewer.plan, fewer.store).ready
    assert ready.rows.short == 40 - labels(fewer.rows("facts-few_shot"))["no"] > 0


TOPICS = ["generate.strategy=topic", "generate.topics={write=30}"]


def test_topics_are_listed_first_each_once_and_then_kept(study):
    done = OfflineFill(study, TOPICS).fill()
    (listed,) = done.plan.topic_pools
    topics = listed.topics(done.store)
    assert len(topics) == len({topic.casefold() for topic in topics}) == 30
    drawn = {one.attributes.get("topic") for key, one in done.asked.items() if "first" in key[0]}
    assert drawn <= set(topics)
    assert len(drawn) > 10
    again = OfflineFill(study, TOPICS)
    assert again.demand.is_settled
    assert again.demand.wants() == []
    assert "subjects" in done.asked["topics-subjects", "-", 0].text


def test_a_list_of_topics_identifies_the_pool_that_draws_on_it(study):
    def pool(*overrides):
        plan = make_plan(load_study(study, ["generate.strategy=topic", *overrides]))
        return next(one.fingerprint for one in plan.pools if one.label == "facts-topic-first")

    written = pool("generate.topics={write=30}")
    assert written == pool("generate.topics={write=30}")
    others = [
        pool(),
        pool("generate.topics={write=31}"),
        pool("generate.topics={write=30}", "generate.temperature=0.5"),
    ]
    assert len({written, *others}) == 4


def test_what_nobody_can_list_ends_with_a_word_and_no_rows(study):
    silent = ["generate.engine=standin_llm:Silent", "generate.topics={write=30}"]
    done = OfflineFill(study, ["generate.strategy=topic", *silent]).fill()
    now = survey(done.plan, done.store)
    assert now.ready == []
    assert [reason for _, reason in now.given_up] == [
        "a label has no rows: of 0 rows 0 were refused; "
        "of those that they are made from, of 0 rows 0 were refused"
    ]
    (problem,) = _unlisted(survey(done.plan, done.store))
    assert problem == "Given up: a list of subjects: no answer lists any topic."


def test_topics_are_told_from_the_talk_around_them():
    answers = [
        "Sure! Here are some topics:\n\n1. **Old bridges**\n2) the tides\n- Chess.\n\n",
        '* old bridges\n\u2022 7 wonders\nI hope that these topics help you!\n"Night trains"',
        "I'm sorry, but I can't help with that.",
        "x" * 101,
    ]
    assert topics_in(answers) == ["Old bridges", "the tides", "Chess", "7 wonders", "Night trains"]


def test_a_recipe_whose_first_call_fails_is_given_up_with_the_reason(study):
    done = OfflineFill(study, ["generate.engine=user_plugins:Refusing"]).fill()
    ((_, reason),) = survey(done.plan, done.store).given_up
    assert "made from" in reason
    assert "refusal" in reason


def test_a_larger_quantity_asks_only_for_what_is_missing_of_every_call(study):
    small = OfflineFill(study).fill()
    large = OfflineFill(study, ["quantity=120"]).fill()
    assert small.asked.keys().isdisjoint(large.asked.keys())
    at_once = OfflineFill(study, ["quantity=120"], root="at-once").fill()
    assert {**small.asked, **large.asked} == at_once.asked


def test_killed_anywhere_it_comes_to_the_same_prompts(study):
    whole = OfflineFill(study, ["generate.rephrase=true"], root="whole").fill()
    asked = {}
    for _ in range(200):  # each command makes one segment, judges what there is, and is killed
        part = OfflineFill(study, ["generate.rephrase=true"], root="parts")
        if part.demand.is_settled:
            break
        for want in part.demand.wants()[:1]:
            part.make(want)
        part.demand = Demand(survey(part.plan, part.store), part.store)
        for view, slot in part.demand.to_judge()[:1]:
            curate_slot(part.store, view, slot)
        asked |= part.asked
    else:
        raise AssertionError("it does not come to an end")
    assert {key: asked[key] for key in whole.asked} == whole.asked


def test_a_pilot_makes_the_first_rows_of_every_call(study):
    done = OfflineFill(study, ["generate.rephrase=true", *TOPICS, "quantity=1000"], most=16).fill()
    rows = Counter((label, slot) for label, slot, _ in done.asked)
    assert rows["facts-topic-rephrased", "yes"] == rows["facts-topic-rephrased", "no"] == 16
    assert rows["facts-topic-first", "-"] == 32
    assert rows["topics-subjects", "-"] == 16


def test_a_task_that_does_not_say_how_it_is_asked_without_a_label_is_refused(toy):
    asked = ["generate.engine=user_plugins:Slow", "generate.labelling=left_to_right"]
    with pytest.raises(ConfigError, match=r"'toy' does not say.*wording\.free"):
        make_plan(load_study(toy / "study.toml", asked))


def test_a_row_is_found_by_its_parent_whatever_the_other_slots_hold():
    unlabelled = Parent("x", "views/x", ["-"], ["-"], ["a", "b", "c"])
    places = [unlabelled.place(slot, index) for index in range(3) for slot in ("a", "b", "c")]
    assert places == [("-", number) for number in range(9)]
    for accepted in range(12):
        fed = {slot: unlabelled.feeds(slot, {"-": accepted}) for slot in ("a", "b", "c")}
        assert sum(fed.values()) == accepted
        for slot, count in fed.items():
            assert (
                unlabelled.needs(slot, count)[1] <= accepted < unlabelled.needs(slot, count + 1)[1]
            )
    labelled = Parent("x", "views/x", ["a", "b"], ["a", "b"], ["a", "b"])
    assert labelled.place("b", 5) == ("b", 5)
    assert labelled.feeds("b", {"a": 3, "b": 7}) == 7


def test_a_first_call_that_was_full_can_be_wanted_again_by_what_is_made_from_it(study):
    OfflineFill(study, ["quantity=200"]).fill()
    filters = "curate.filters=['standin_llm:EverySecond']"
    OfflineFill(study, ["quantity=96", filters]).fill()
    done = OfflineFill(study, ["quantity=96", filters, "generate.rephrase=true"]).fill()
    (ready,) = survey(done.plan, done.store).ready
    assert ready.rows.short == 0


def test_a_label_that_the_llm_never_writes_is_given_up_before_all_attempts(study):
    asked = ["generate.engine=standin_llm:Stubborn", "generate.labelling=left_to_right"]
    done = OfflineFill(study, [*asked, "generate.strategy=few_shot", "quantity=2000"]).fill()
    ((_, reason),) = survey(done.plan, done.store).given_up
    assert "other_label" in reason
    assert len(done.asked) < 2500  # of 8,000


def test_rows_made_from_what_has_changed_are_found_and_made_again(study, monkeypatch):
    moody = ["generate.engine=standin_llm:Moody", "generate.rephrase=true"]
    before = OfflineFill(study, moody).fill()
    assert astray(survey(before.plan, before.store)) == []
    first = before.pool("facts-zero_shot-first")
    name = first.segments(before.store)["-"][0].name
    (Path(before.store.root) / first.folder / name).unlink()  # as if it had been damaged
    monkeypatch.setenv("MOOD", "sullen")
    rounds = 0
    while True:
        after = OfflineFill(study, moody).fill()
        if not (strays := astray(survey(after.plan, after.store))):
            break
        rounds += 1
        for stray in strays:
            after.store.retire(stray)
    assert rounds == 2  # of the questions, and then of their rephrasings
    passages = {row["id"]: row["text_pair"] for row in after.rows("facts-zero_shot-first")}
    rows = after.rows("facts-zero_shot")
    assert len({row["text_pair"] for row in rows}) == len(rows)
    for row in rows:
        assert passages[json.loads(row["attributes"])["from"]] == row["text_pair"]


def test_nothing_is_made_from_rows_that_are_to_be_judged_anew(study):
    done = OfflineFill(study).fill()
    parent, child = done.pool("facts-zero_shot-first"), done.pool("facts-zero_shot")
    for pool, slot, number in ((parent, "-", 1), (child, "yes", 0)):
        name = pool.segments(done.store)[slot][number].name
        (Path(done.store.root) / pool.folder / name).unlink()
    again = OfflineFill(study)
    wants = again.demand.wants()
    again.demand.withdrawn(want for want in wants if want.pool.call == "second")
    for want in wants:
        if want.pool.call == "first":
            again.make(want)
    assert again.demand.wants() == []
    ((view, slot),) = again.demand.to_judge()
    assert again.demand.wants() == []
    again.demand.judged(curate_slot(again.store, view, slot))
    assert {want.pool.label for want in again.demand.wants()} == {"facts-zero_shot"}


def test_first_calls_that_show_no_label_are_shared_whoever_labels(study):
    def first(*overrides):
        plan = make_plan(load_study(study, overrides))
        return next(one.fingerprint for one in plan.pools if one.call == "first")

    free = "generate.labelling=left_to_right"
    assert first() == first(free)
    shown = "generate.strategy=one_shot"
    assert first(shown) != first(shown, free)


def test_a_passage_that_is_copied_from_a_real_row_is_refused(study):
    done = OfflineFill(study, ["generate.engine=standin_llm:Copying", "quantity=16"]).fill()
    refused = {row["reason"] for row in done.rows("facts-zero_shot-first", "refused")}
    assert "gold_copy" in refused


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["engine=verbatim", "rephrase=true"], "generate.rephrase has a model asked once more"),
        (
            ["engine=verbatim", "strategy=topic", "topics={write=9}"],
            r"topics = \{write = ...\} has a model asked",
        ),
        (
            ["engine=standin_llm:Formal", 'structured={regex="x"}'],
            r"several calls \(first, second\); take it out",
        ),
    ],
)
def test_calls_that_cannot_be_answered_are_refused(study, overrides, says):
    with pytest.raises(ConfigError, match=says):
        make_plan(load_study(study, [f"generate.{one}" for one in overrides]))


def test_a_strategy_that_does_not_know_of_two_calls_is_asked_for_whole_pairs(study):
    yes, no = (f'["Passage: {word} {{index}}\\nQuestion: is it"]' for word in ("a", "b"))
    asked = ["engine=verbatim", "strategy=template", f"templates={{yes = {yes}, no = {no}}}"]
    done = OfflineFill(study, [f"generate.{one}" for one in asked]).fill()
    assert [pool.call for pool in done.plan.pools] == ["whole"]
    assert labels(done.rows("facts-template"))["yes"] >= 20


def test_topics_can_be_a_factor_whose_levels_are_tables(study):
    factors = "factors.topics=[{write=5}, {write=9}]"
    plan = make_plan(load_study(study, ["generate.strategy=topic", factors]))
    assert [one.levels["topics"] for one in plan.conditions] == ['{"write":5}', '{"write":9}']
    assert len(plan.topic_pools) == 2
