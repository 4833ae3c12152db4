import json
from pathlib import Path

import pytest

from engine.curate.parse import Parsed, Unparsed, layout, parse
from engine.tasks.task import Task, load_task

HERE = Path()
ONE = layout(load_task("sst2", HERE))  # Sentence, Sentiment
PAIR = layout(
    Task(
        name="rte",
        labels={"True": "it follows", "False": "it does not"},
        fields={"text": "Premise", "text_pair": "Hypothesis"},
        wording={
            "request": "Write a pair that is {label}.",
            "row": "Premise: {text}\nHypothesis: {text_pair}\nLabel: {label}",
        },
    )
)
PLAIN = "A warm and funny film."


@pytest.mark.parametrize(
    "completion",
    [
        PLAIN,
        f"  {PLAIN}\n\n",
        f'"{PLAIN}"',
        f"\u201c{PLAIN}\u201d",
        f"1. {PLAIN}",
        f"(2) {PLAIN}",
        f"- {PLAIN}",
        f'1. "{PLAIN}"',
        f"**{PLAIN}**",
        f"Sentence: {PLAIN}",
        f"**Sentence:** {PLAIN}",
        f'sentence: "{PLAIN}"',
        f"Sure, here is a positive sentence:\n\n{PLAIN}",
        f"Sure! Here's one:\n{PLAIN}",
        f"Certainly! Here is a sentence from a movie review with positive sentiment: {PLAIN}",
        f"Here is a review sentence: {PLAIN}",
        f"Of course!\n\n{PLAIN}",
        f"```\n{PLAIN}\n```",
        f"```text\n{PLAIN}\n```",
        f"Here is your sentence:\n```\nSentence: {PLAIN}\n```",
        f"Sentence: {PLAIN}\nSentiment: positive",
        f"Sentiment: positive\nSentence: {PLAIN}",
        f"{PLAIN}\nSentiment: positive",
        f"{PLAIN}\n\nLabel: positive",
        json.dumps({"text": PLAIN}),
        json.dumps({"Sentence": PLAIN, "Sentiment": "positive"}),
        f"```json\n{json.dumps({'sentence': PLAIN})}\n```",
    ],
)
def test_what_models_put_around_a_text_is_taken_off(completion):
    assert parse(completion, ONE) == Parsed(PLAIN, None)


@pytest.mark.parametrize(
    "text",
    [
        "Here's the thing: it is a bad film.",
        "2001 : a space odyssey has aged well",
        "3.5 stars out of 5, and generous at that",
        '"fine" is not a word i would use for "this"',
        "it's 'okay'",
        "OK so the plot: a man, a dog, a bus",
        "{a brace that opens nothing",
        "its sentence: life without popcorn",
        "the category: comedy. the laughs: none",
        "Class: a film about school",
        "Category: comedy. Laughs: none.",
        "a film of two halves\nsentiment: none",
    ],
)
def test_a_text_of_its_own_right_is_left_alone(text):
    assert parse(text, ONE) == Parsed(text, None)


@pytest.mark.parametrize(
    "completion",
    [
        "Premise: A dog runs.\nHypothesis: An animal moves.",
        "**Premise:** A dog runs.\n\n**Hypothesis:** An animal moves.",
        "1. Premise: A dog runs.\n2. Hypothesis: An animal moves.",
        "Sure, here is one:\nPremise: A dog runs.\nHypothesis: An animal moves.\nLabel: True",
        "Hypothesis: An animal moves.\nPremise: A dog runs.",
        json.dumps({"text": "A dog runs.", "text_pair": "An animal moves."}),
        json.dumps({"premise": "A dog runs.", "hypothesis": "An animal moves."}),
    ],
)
def test_pairs_are_split_at_their_names(completion):
    assert parse(completion, PAIR) == Parsed("A dog runs.", "An animal moves.")


@pytest.mark.parametrize(
    ("completion", "form", "reason"),
    [
        ("", ONE, "empty"),
        (" \n\t", ONE, "empty"),
        ("``````", ONE, "empty"),
        ('""', ONE, "empty"),
        ("Sentence:", ONE, "empty"),
        ('{"text": ""}', ONE, "empty"),
        ("A dog runs.", PAIR, "unparsed"),
        ("Premise: A dog runs.", PAIR, "unparsed"),
        ("Premise: A dog runs.\nHypothesis:", PAIR, "empty"),
    ],
)
def test_what_has_no_row_says_why(completion, form, reason):
    assert parse(completion, form) == Unparsed(reason)
