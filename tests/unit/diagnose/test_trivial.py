"""Which rows count as trivial."""

import pytest

from engine.diagnose.trivial import trivial_rows
from engine.errors import ConfigError
from engine.steps.mix import Example
from engine.study.load import load_study

WORDS = ["not", "only", "just"]  # some of those that the paper lists for BoolQ


def count(*texts, words=WORDS):
    return trivial_rows([Example("no", text, None) for text in texts], words)


@pytest.mark.parametrize("text", ["is it not so", "Not so?", "is it so, or NOT", "(only)", "just"])
def test_a_whole_word_counts_in_any_case_and_beside_punctuation(text):
    assert count(text) == 1


@pytest.mark.parametrize(
    "text", ["is it nothing", "a knot", "notes", "not_1", "unjust", "isn't", ""]
)
def test_a_part_of_a_word_does_not(text):
    assert count(text) == 0


def test_a_row_counts_once_however_many_words_it_holds():
    assert count("not only, but not just", "is it so", "only one") == 2


def test_words_are_texts_and_no_patterns():
    assert count("n.t", "not", "net", words=["n.t"]) == 1
    assert count("is it no more", "is it no", "no more", words=["no more"]) == 2
    assert count("was it c++", "was it c", words=["C++"]) == 1


def test_the_second_text_of_a_pair_is_not_looked_at():
    assert trivial_rows([Example("no", "is it so", "it is not")], WORDS) == 0


def test_without_words_there_is_no_count():
    assert count("is it not so", words=[]) is None
    assert count() == 0


@pytest.mark.parametrize("word", ["", " ", " not"])
def test_a_word_that_no_text_can_hold_is_refused(toy, word):
    task = (toy / "task.toml").read_text()
    (toy / "task.toml").write_text(f'trivial_words = ["{word}"]\n{task}')
    with pytest.raises(ConfigError, match="trivial_words"):
        load_study(toy / "study.toml")
