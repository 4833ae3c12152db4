import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.curate.filter import FILTERS, Candidate, Context, filter_class
from engine.curate.text import normalised
from engine.study.config import CurateConfig
from engine.tasks.task import load_task

GOLD = {
    "train": {"0": "a shot of mine", "1": "another shot"},
    "validation": {"0": "a validation row"},
    "test": {"0": "a test row"},
}


def build(name, tmp_path, **config):
    task = load_task("emotion", tmp_path)
    return filter_class(name)(Context(task, CurateConfig(**config), GOLD))


def row(text, text_pair=None, label="joy", completion=None, shots=()):
    return Candidate(
        label, text, text_pair, normalised(text, text_pair), completion or text, tuple(shots)
    )


@pytest.mark.parametrize(
    ("name", "candidate", "reason"),
    [
        ("length", row("one"), "too_short"),
        ("length", row("one two"), None),
        ("length", row("word " * 401), "too_long"),
        ("length", row("long enough", "short"), "too_short"),
        ("refusal", row("I'm sorry, but I can't help with that."), "refusal"),
        ("refusal", row("I\u2019m sorry, I cannot write this review."), "refusal"),
        ("refusal", row("As an AI language model, I have no feelings."), "refusal"),
        ("refusal", row("I cannot assist with this request."), "refusal"),
        ("refusal", row("Unfortunately, I am unable to write that."), "refusal"),
        ("refusal", row("i'm sorry , but this film is a mess ."), None),
        ("refusal", row("i can't remember a better film"), None),
        ("refusal", row("i cannot help but love it"), None),
        ("refusal", row("unfortunately the acting is wooden"), None),
        ("shot_copy", row("A shot, of mine!", shots=["0"]), "shot_copy"),
        ("shot_copy", row("A shot of mine", shots=["1"]), None),
        ("gold_copy", row("a TEST row ."), "gold_copy"),
        ("gold_copy", row("a validation row"), "gold_copy"),
        ("gold_copy", row("a shot of mine"), None),
        ("label_name", row("what a JOY it was"), "label_name"),
        ("label_name", row("what a joyful day"), None),
        ("label_name", row("what an anger", label="joy"), None),
    ],
)
def test_each_filter_refuses_what_it_names(tmp_path, name, candidate, reason):
    assert build(name, tmp_path)(candidate) == reason


def test_a_label_of_several_words_is_found_however_it_is_written(tmp_path):
    task = load_task("emotion", tmp_path)
    task = task.model_copy(update={"labels": {"very_good": "", "bad": ""}})
    leaks = filter_class("label_name")(Context(task, CurateConfig(), GOLD))
    assert leaks(row("it was Very good!", label="very_good")) == "label_name"
    assert leaks(row("it was a very-good one", label="very_good")) == "label_name"
    assert leaks(row("it was very very bad", label="very_good")) is None


def test_only_a_task_that_says_so_has_leaking_names(tmp_path):
    task = load_task("sst2", tmp_path)
    leaks = filter_class("label_name")(Context(task, CurateConfig(), GOLD))
    assert leaks(row("a positive delight", label="positive")) is None


def test_the_first_of_two_copies_is_kept(tmp_path):
    duplicate = build("duplicate", tmp_path)
    answers = [
        duplicate(row(text)) for text in ("It is fine.", "it is FINE", "it is not", "It is fine!")
    ]
    assert answers == [None, "duplicate", None, "duplicate"]


def test_texts_of_punctuation_alone_are_not_all_copies(tmp_path):
    duplicate = build("duplicate", tmp_path)
    assert [duplicate(row(text)) for text in ("!!! ???", ":-) :-)", "!!!  ???")] == [
        None,
        None,
        "duplicate",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [("का", "की"), ("i know C++", "i know C#"), ("so good 😀", "so good 😡"), ("not 5", "not 6")],
)
def test_texts_that_differ_in_more_than_punctuation_are_no_copies(one, other):
    assert normalised(one) != normalised(other)


def test_texts_that_differ_in_writing_alone_are_copies():
    assert normalised("Caf\u00e9 \u2014 \u201cfine\u201d!") == normalised("cafe\u0301 'fine'")


texts = st.lists(
    st.sampled_from(["a test row", "it is fine", "It is FINE.", "joy", "no", "a b c", "!?", "x y"]),
    max_size=12,
)


@pytest.mark.parametrize("name", sorted(FILTERS))
@given(rows=texts, more=texts)
def test_rows_that_follow_change_no_answer(tmp_path_factory, name, rows, more):
    folder = tmp_path_factory.getbasetemp()
    alone, grown = build(name, folder), build(name, folder)
    expected = [alone(row(text)) for text in rows]
    assert [grown(row(text)) for text in [*rows, *more]][: len(rows)] == expected
