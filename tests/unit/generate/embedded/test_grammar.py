"""The demo's grammar, and that its gold rows are none of its output."""

import re
from collections import Counter

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from engine.curate.text import normalised
from engine.generate.embedded.grammar import grammar, sentences
from engine.generate.embedded.lessons import TASKS, demo_tasks, lessons
from engine.store.schema import Draws
from engine.tasks.gold import load_gold


def texts(task, label, count):
    words = grammar()
    for number in range(count):
        draws = Draws("test", task, label, str(number))
        yield words.write(task, label, draws.choice(words.products), draws)


@pytest.fixture(scope="module", params=TASKS)
def task(request):
    return demo_tasks()[request.param]


@pytest.fixture(scope="module")
def gold(task):
    return {split: rows.table.to_pylist() for split, rows in load_gold(task).items()}


def test_the_grammar_knows_its_own_sentences_and_no_others(task):
    words = grammar()
    for label in task.labels:
        assert all(words.covers(text) for text in texts(task.name, label, 60))
    assert not words.covers("I love this zeppelin.")
    assert not words.covers("I love this kettle. It sings.")


def test_products_keep_to_their_own_aspects(task):
    rows = [text for label in task.labels for text in texts(task.name, label, 300)]
    judged = [grammar().slips(text) for text in rows]
    assert judged.count(False) > 100
    assert judged.count(True) == 0
    assert grammar().slips("This kettle is fine, the lid is a little stiff.") is False
    assert grammar().slips("This kettle is fine, the zip jams halfway.") is True
    assert grammar().slips("This kettle is fine.") is None


def test_texts_differ_and_follow_from_their_draws(task):
    for label in task.labels:
        made = list(texts(task.name, label, 300))
        assert made == list(texts(task.name, label, 300))
        assert len(set(made)) > 295


def test_gold_rows_are_enough_and_all_different(task, gold):
    least = {"train": 100, "validation": 100, "test": 200}
    assert all(len(gold[split]) >= count for split, count in least.items())
    every = [normalised(row["text"]) for rows in gold.values() for row in rows]
    assert len(set(every)) == len(every)
    for rows in gold.values():
        assert len(set(Counter(row["label"] for row in rows).values())) == 1


def test_no_gold_row_is_another_split_s_in_other_words(gold):
    rows = [(split, row["text"]) for split, own in gold.items() for row in own]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(
        [text for _, text in rows]
    )
    alike = (vectors @ vectors.T).tocoo()
    for one, other, cosine in zip(alike.row, alike.col, alike.data, strict=True):
        if rows[one][0] != rows[other][0]:
            assert cosine < 0.5, (rows[one], rows[other])


def test_no_gold_row_is_the_grammar_s(gold):
    words = grammar()
    for row in (row for rows in gold.values() for row in rows):
        long = [one for one in sentences(row["text"]) if len(one.split()) > 4]
        assert not any(words.covers_sentence(one) for one in long), row
        assert not words.covers(row["text"]), row


def test_lessons_ask_what_they_answer():
    words = grammar()
    for lesson in lessons(seed=3, count=300):
        assert words.covers(lesson.text)
        topic = re.search(r"(?:about|concerns) this product: (.*)\.", lesson.prompt)
        if topic:
            assert topic[1] in lesson.text.lower()


def test_lessons_follow_from_their_seed():
    assert list(lessons(3, 20)) == list(lessons(3, 20))
    assert list(lessons(3, 20)) != list(lessons(4, 20))
