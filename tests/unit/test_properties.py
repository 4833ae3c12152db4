"""What holds of every row, whatever LLMs write and in whatever order and portions it comes.

Rows are written by hand and judged as a study's are, but for Ray. What is expected of texts is
worked out here, for texts of plain letters, and not by the product's own normalisation.
"""

import json
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis_budget import examples
from written_pools import commit_rows, judge, rows_of

from engine.curate.filter import FILTERS
from engine.curate.parse import Parsed, Unparsed, layout, parse
from engine.evaluate.answer import named_label
from engine.generate.calls import Wording, segment_ref
from engine.mix.training_set import ordered_rows, outlines, training_set
from engine.plan.graph import Graph
from engine.prompts.call import as_asked
from engine.prompts.strategy import STRATEGIES
from engine.prompts.topic_list import topics_in
from engine.steps.mix import Mix
from engine.steps.parent import Parent
from engine.store.schema import NONE
from engine.store.store import Store
from engine.study.config import CurateConfig, GenerateConfig, MixConfig
from engine.tasks.gold import as_rows
from engine.tasks.source import Row
from engine.tasks.task import Task

REVIEWS = Task(
    name="reviews",
    labels={"good": "they liked it", "bad": "they did not", "mixed": "they did and did not"},
    fields={"text": "Review"},
    wording={
        "request": "Write a {label} review: {description}.",
        "row": "Review: {text}\nVerdict: {label}",
        "free": "Write a review.",
    },
    label_name_leaks=True,
    topics=["tea", "rye", "oats"],
)
PAIRS = Task(
    name="pairs",
    labels={"yes": "it follows", "no": "it does not"},
    fields={"text": "Premise", "text_pair": "Hypothesis"},
    wording={
        "request": "Write a pair: {label}.",
        "row": "Premise: {text}\nHypothesis: {text_pair}\nLabel: {label}",
        "free": "Write a pair.",
    },
)
TASKS = {task.name: task for task in (REVIEWS, PAIRS)}
WORDS = ("soup", "waiter", "coffee", "music", "room", "table", "menu", "pie")
ADDED = {"train": 0, "validation": 100, "test": 200}


def gold_rows(task, split):
    """Return eight rows of each label, of plain letters and digits."""
    rows = []
    for number in range(8):
        for label in task.labels:
            own = f"{WORDS[number]} of visit {ADDED[split] + number} {len(label)}"
            pair = {"text_pair": f"that {own}"} if task is PAIRS else {}
            rows.append(Row(label=label, text=f"the {own}", **pair))
    return as_rows(rows, f"gold/{task.name}-{split}")


GOLD = {name: {split: gold_rows(task, split) for split in ADDED} for name, task in TASKS.items()}
FREE = {"labelling": "left_to_right"}
VIEWS = {"asked": (REVIEWS, {}), "labelled": (REVIEWS, FREE), "pairs": (PAIRS, {})}


def view_of(task, filters, **generate):
    """Return a view, as a plan would have it."""
    curate = CurateConfig(filters=filters, min_words=2, max_words=9)
    generate = GenerateConfig(engine="verbatim", **generate)
    return Graph(TASKS, GOLD, {}).view(task, generate, curate, 0)


def opened(folder=None):
    """Return a store with all real rows."""
    store = Store.open(str(folder or tempfile.mkdtemp(dir=opened.folder)))
    for splits in GOLD.values():
        for rows in splits.values():
            rows.publish(store)
    return store


@pytest.fixture(autouse=True, scope="module")
def _roots(tmp_path_factory):
    opened.folder = tmp_path_factory.mktemp("roots")


# -- rows at random

TEMPTING = {  # texts that each filter refuses some of
    "refusal": ["I'm sorry, but I can't help with that.", "I cannot write this review."],
    "length": ["soup", "the soup and the pie and the tea and the rye and the oats"],
    "duplicate": ["it was fine", "It was FINE!", "it  was, fine"],
    "shot_copy": [row["text"] for row in GOLD["reviews"]["train"].table.to_pylist()[:4]],
    "gold_copy": [
        row["text"].title()
        for split in ("validation", "test")
        for row in GOLD["reviews"][split].table.to_pylist()[:3]
    ],
    "label_name": ["what a good pie", "what a BAD pie", "what a mixed pie"],
}
PLAIN = ["the pie was warm", "a table by the door", "no music at all", "they came late"]
TEXTS = sorted({text for some in TEMPTING.values() for text in some} | set(PLAIN))
SHOWN = [row["id"] for row in GOLD["reviews"]["train"].table.to_pylist()[:4]]
DRESSES = ["{}", '"{}"', "1. {}", "**{}**", "Sure, here is a review:\n{}", "```\n{}\n```", "{} !!"]


@st.composite
def answers(draw, kind):
    """Return one completion, with what was drawn for its prompt."""
    task, free = VIEWS[kind]
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([(None, {}), ("", {}), ("Verdict: good", {})]))
    text = draw(st.sampled_from(TEXTS))
    shots = {"shots": draw(st.lists(st.sampled_from(SHOWN), max_size=2, unique=True))}
    if task is PAIRS:
        pair = draw(st.sampled_from(TEXTS))
        row = draw(st.sampled_from(GOLD["pairs"]["test"].table.to_pylist()))
        if draw(st.booleans()):
            text, pair = row["text"].upper(), row["text_pair"]
        return f"Premise: {text}\nHypothesis: {pair}", {}
    if free:
        label = draw(st.sampled_from([*REVIEWS.labels, "awful"]))
        return f"Review: {text}\nVerdict: {label}", shots
    return draw(st.sampled_from(DRESSES)).format(text), shots


def pools_of_rows():
    """Return a kind of view, and the first three segments' rows of one of its slots."""
    return st.sampled_from(sorted(VIEWS)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(answers(kind), min_size=48, max_size=48))
    )


def bare(*texts):
    """Return plain texts without case, punctuation and spacing."""
    return tuple(tuple(re.findall(r"[a-z0-9']+", text.lower())) for text in texts if text)


def judged(store, view, slot):
    keys = ("id", "label", "text", "text_pair", "status", "reason")
    return [{key: row[key] for key in keys} for row in rows_of(store, view)[slot]]


def test_there_are_texts_that_tempt_every_filter_that_there_is():
    assert set(TEMPTING) == set(FILTERS)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_refuses_some_of_what_tempts_it(name):
    store, view = opened(), view_of(REVIEWS, [name])
    rows = [(text, {"shots": SHOWN}) for text in TEMPTING[name]] + PLAIN * 4
    commit_rows(store, view.pool, "good", rows[:16])
    judge(store, view)
    outcomes = [row["status"] for row in judged(store, view, "good")]
    assert "refused" in outcomes[: len(TEMPTING[name])]
    assert outcomes.count("accepted") > 2


# -- 1. the first rows' outcomes do not depend on those that follow, nor on how they come


@pytest.mark.parametrize("filters", [*([name] for name in sorted(FILTERS)), sorted(FILTERS)])
@examples(4)
@given(
    rows=pools_of_rows(),
    order=st.permutations([0, 1, 2]),
    lost=st.lists(st.integers(0, 2), max_size=2, unique=True),
)
def test_what_became_of_a_row_never_changes(filters, rows, order, lost):
    """Judged at once, as segments come in any order, or again after some were lost: the same."""
    kind, rows = rows
    task, generate = VIEWS[kind]
    view = view_of(task, filters, **generate)
    slot = view.pool.slots[0]
    at_once, bit_by_bit = opened(), opened()
    commit_rows(at_once, view.pool, slot, rows)
    judge(at_once, view)
    expected = judged(at_once, view, slot)
    assert len(expected) == 48
    for place in order:
        commit_rows(bit_by_bit, view.pool, slot, rows[: 16 * place + 16], start=16 * place)
        judge(bit_by_bit, view)
        so_far = judged(bit_by_bit, view, slot)
        assert so_far == expected[: len(so_far)]
    assert so_far == expected
    for place in lost:
        segment = view.segments(bit_by_bit)[slot][place - len(lost)]
        Path(bit_by_bit.root, view.folder, segment.name).unlink()
    judge(bit_by_bit, view)
    assert judged(bit_by_bit, view, slot) == expected


# -- 3. what is accepted, and what is not


@examples(7)
@given(rows=pools_of_rows())
def test_a_copy_is_refused_and_nothing_else_is(rows):
    """Each filter by itself: of gold rows, of the prompt's own shots, of earlier rows."""
    kind, rows = rows
    task, generate = VIEWS[kind]
    gold, store = GOLD[task.name], opened()
    known = {
        split: {row["id"]: bare(row["text"], row["text_pair"]) for row in own.table.to_pylist()}
        for split, own in gold.items()
    }
    scored = {*known["validation"].values(), *known["test"].values()}
    for name in ("gold_copy", "shot_copy", "duplicate"):
        view = view_of(task, [name], **generate)
        slot = view.pool.slots[0]
        commit_rows(store, view.pool, slot, rows)
        judge(store, view)
        seen = set()
        for row in rows_of(store, view)[slot]:
            if row["text"] is None:
                assert row["status"] == "refused"
                continue
            text = bare(row["text"], row["text_pair"])
            shown = [
                known["train"].get(one) for one in json.loads(row["attributes"]).get("shots", ())
            ]
            is_copy = {
                "gold_copy": text in scored,
                "shot_copy": text in shown,
                "duplicate": text in seen,
            }[name]
            assert row["reason"] == (name if is_copy else None)
            seen.add(text)


@examples(6)
@given(rows=pools_of_rows())
def test_by_default_no_accepted_row_is_a_copy_or_without_text(rows):
    kind, rows = rows
    task, generate = VIEWS[kind]
    store, view = opened(), view_of(task, CurateConfig().filters, **generate)
    slot = view.pool.slots[0]
    commit_rows(store, view.pool, slot, rows)
    judge(store, view)
    accepted = [row for row in rows_of(store, view)[slot] if row["status"] == "accepted"]
    texts = [bare(row["text"], row["text_pair"]) for row in accepted]
    assert len(set(texts)) == len(texts)
    for split in ("validation", "test"):
        own = GOLD[task.name][split].table.to_pylist()
        assert not set(texts) & {bare(row["text"], row["text_pair"]) for row in own}
    assert all(row["label"] in task.labels and row["text"].strip() for row in accepted)


# -- 2. training sets


ACCEPTED = {"good": 40, "bad": 12, "mixed": 26}  # of the first 48 rows, at least


@pytest.fixture(scope="module")
def stocked():
    """A store with views whose labels have more or fewer accepted rows, by kind of view."""
    store, views = opened(), {}
    for kind in ("asked", "labelled"):
        task, generate = VIEWS[kind]
        views[kind] = view = view_of(task, ["length"], **generate)
        for slot in view.pool.slots:
            rows = list(stock(slot))
            commit_rows(store, view.pool, slot, rows)
        judge(store, view)
    return store, views


def stock(slot):
    for number in range(48):
        label = list(REVIEWS.labels)[number * number % 3] if slot == NONE else slot
        is_long = number % 48 < ACCEPTED[label] or number % 5 == 0
        text = f"visit {number} of {label}" if is_long else "no"
        yield f"Review: {text}\nVerdict: {label}" if slot == NONE else text


weights = st.lists(st.floats(0.05, 20), min_size=3, max_size=3)


@examples(30)
@given(
    kind=st.sampled_from(["asked", "labelled"]),
    weights=st.none() | weights,
    quantity=st.integers(0, 150),
    more=st.integers(0, 60),
    real=st.integers(0, 24),
    replicate=st.integers(0, 2),
    segments=st.integers(1, 3),
)
def test_a_training_set_is_balanced_and_begins_with_every_smaller_one(  # noqa: PLR0913
    stocked, kind, weights, quantity, more, real, replicate, segments
):
    store, views = stocked
    view, labels = views[kind], tuple(REVIEWS.labels)
    prior = dict(zip(labels, weights, strict=True)) if weights else {}
    gold = GOLD["reviews"]["train"]
    order = ordered_rows(gold.table, replicate)
    pinned = dict.fromkeys(labels, 16 * segments)  # rows that came later are not looked at

    def mix(quantity):
        config = MixConfig(quantity=quantity, real=real, prior=prior)
        return Mix(labels, config, replicate, view, gold.name, pinned)

    smaller, larger = (
        training_set(store, mix(count), order) for count in (quantity, quantity + more)
    )
    own = list(smaller.examples[: smaller.synthetic])
    assert own == list(larger.examples[: smaller.synthetic])
    assert smaller.synthetic + smaller.short == quantity
    stock = {label: first_accepted(store, view, label, 16 * segments) for label in labels}
    counts = Counter(one.label for one in own)
    for label in labels:  # each label's rows are its first, in the order of their index
        texts = [one.text for one in own if one.label == label]
        assert texts == stock[label][: len(texts)]
        assert len(texts) == counts[label]
    full = [label for label in labels if counts[label] < len(stock[label])]
    for label in full:  # none has a row too many beside another, by the weights or in equal parts
        for other in labels:
            due = (counts[label] + 0.5) / prior.get(label, 1.0)
            assert (counts[other] - 0.5) / prior.get(other, 1.0) <= due * (1 + 1e-9)
    taken = list(smaller.examples[smaller.synthetic :])
    assert taken == order[:real]
    real_counts = [sum(one.label == label for one in taken) for label in labels]
    assert max(real_counts) - min(real_counts) <= 1
    assert outlines(store, [mix(quantity), mix(quantity + more)], order) == [
        smaller.outline,
        larger.outline,
    ]


def first_accepted(store, view, label, judged):
    rows = rows_of(store, view)[view.slot_of(label)][:judged]
    return [row["text"] for row in rows if row["status"] == "accepted" and row["label"] == label]


# -- 4. a row's prompt and draws follow from its identity alone


RECIPES = {
    "zero_shot": {},
    "topic": {"topics": ["a day at sea", "the dentist", "a long night"]},
    "one_shot": {"shot_rows": 9},
    "few_shot": {"shot_rows": 12, "shots": 3},
    "template": {
        "templates": {label: ["{thing} {index}", "no {thing}"] for label in REVIEWS.labels},
        "attributes": {"thing": ["tea", "rye", "oats"], "colour": ["red", "blue"]},
    },
}
ASKED = [
    view_of(REVIEWS, [], strategy=name, **recipe, **manner).pool
    for name, recipe in RECIPES.items()
    for manner in ({}, FREE)
    if not (manner and name == "template")
]
POOLS = {pool.fingerprint: pool for pool in ASKED}


def test_there_is_a_recipe_of_every_strategy():
    assert set(RECIPES) == set(STRATEGIES)
    assert len(POOLS) == len(ASKED)


parts = st.builds(
    lambda pool, slot, start, rows: {
        "pool": pool.fingerprint,
        "slot": pool.slots[slot % len(pool.slots)],
        "start": start,
        "stop": start + rows,
    },
    st.sampled_from(ASKED),
    st.integers(0, 2),
    st.integers(0, 40),
    st.integers(1, 12),
)


@pytest.fixture(scope="module")
def alone():
    """Word a row by itself, with a strategy of its own; a row's answer is kept."""
    store, known = opened(), {}

    def worded(pool, slot, index):
        key = (pool, slot, index)
        if key not in known:
            asked = POOLS[pool].strategy(store).ask(POOLS[pool].row(slot, index))
            known[key] = asked.text, dict(asked.attributes)
        return known[key]

    return store, worded


@examples(30)
@given(calls=st.lists(st.lists(parts, min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_prompt_and_what_is_drawn_for_it_do_not_depend_on_what_else_is_asked(alone, calls):
    """In any call, with any other rows of any pools and labels, in any order, as by itself."""
    store, worded = alone
    wording = Wording(None, POOLS, store)
    place = ("pool", "slot", "start", "stop")
    for call in calls:
        answered = wording.worded([segment_ref(part) for part in call])
        asked = sorted(tuple(part[name] for name in place) for part in call)
        assert [tuple(part[name] for name in place) for part in answered] == asked
        for part in answered:
            rows = range(part["start"], part["stop"])
            drawn = map(json.loads, part["attributes"])
            for index, prompt, own in zip(rows, part["prompts"], drawn, strict=True):
                assert (prompt, own) == worded(part["pool"], part["slot"], index)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@examples(50)
@given(
    turns=st.lists(names, min_size=1, max_size=5, unique=True).filter(lambda own: NONE not in own),
    counts=st.lists(st.integers(0, 40), min_size=5, max_size=5),
    has_labels=st.booleans(),
)
def test_rows_that_are_made_from_others_each_have_one_of_their_own(turns, counts, has_labels):
    """And so many can be made from what is there as there is one for each of."""
    labels = turns if has_labels else [NONE]
    parent = Parent("view", "folder", turns, labels, turns)
    places = {(slot, index): parent.place(slot, index) for slot in turns for index in range(30)}
    assert len(set(places.values())) == len(places)
    accepted = dict(zip(labels, counts, strict=False))
    for slot in turns:
        made = parent.feeds(slot, accepted)
        for index in range(made + 2):
            label, number = parent.place(slot, index)
            assert (number < accepted[label]) == (index < made)
        label, needed = parent.needs(slot, made)
        assert needed <= accepted[label]


# -- 5. parsing


FREE_REVIEW = as_asked(REVIEWS, "whole", is_free=True)
FREE_PAIR = as_asked(PAIRS, "whole", is_free=True)
FORMS = {
    "text": layout(REVIEWS),
    "pair": layout(PAIRS),
    "text and label": layout(FREE_REVIEW),
    "pair and label": layout(FREE_PAIR),
}
characters = st.characters() | st.characters(categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Po", "Mn"])
loose = st.text(characters, max_size=12)  # lone surrogates, controls and right-to-left among them
ODD = ["\x00", "�", "\u202e", "\u0590א", "\u2028", "\x0b", "\x85", "\ufeff", "\n", " "]
AROUND = [
    '"',
    "'",
    "\u201c",
    "\u201d",
    "`",
    "```",
    "```json\n",
    "**",
    "*",
    "_",
    "#",
    "<",
    "</think>",
]
JSON = ["{", "}", '{"text": ', '{"review": "', '"}', "[", ":", "\\", '"\\ud83d"', "null", "1e999"]
NAMES = ["Review", "Verdict", "Premise", "Hypothesis", "Label", "good", "BAD", "yes", "no"]
LEADING = [
    "1. ",
    "(2) ",
    "- ",
    "I cannot",
    "Sure, ",
    "here is a review:",
    "Here's another:\n",
    "Of course!\n\n",
]
MARKS = [*ODD, *AROUND, *JSON, *NAMES, *LEADING]
completions = st.lists(st.sampled_from(MARKS) | loose, max_size=14).map("".join)


@pytest.mark.parametrize("form", sorted(FORMS))
@examples(60)
@given(completion=completions)
@example(completion='{"text": "half of it: \\ud83d", "text_pair": "\\udc00", "label": "good"}')
def test_anything_is_parsed_or_not_and_never_fails(form, completion):
    found = parse(completion, FORMS[form])
    if isinstance(found, Unparsed):
        assert found.reason in ("empty", "unparsed", "unknown_label")
        return
    wanted = FORMS[form].fields
    for field, value in found._asdict().items():
        assert (value is not None) == (field in wanted)
        assert value is None or value == value.strip() != ""
    if "label" in wanted:
        assert found.label in FORMS[form].labels
    # a file holds what it came to, as it held the completion
    if completion.encode("utf-8", "replace").decode() == completion:
        for value in found:
            assert value is None or value.encode().decode() == value


@examples(60)
@given(completion=completions)
def test_other_answers_are_read_or_not_and_never_fail(completion):
    labels = list(REVIEWS.labels)
    assert named_label(completion, labels) in [*labels, None]
    topics = topics_in([completion])
    assert all(topic == topic.strip() != "" for topic in topics)


HUGE = 12_000
SLOW_S = 3.0  # of this process; what grows as the square of the length takes several times as long
UNITS = [
    ":",
    ": ",
    "\n:",
    "`",
    "*",
    "- ",
    "1.",
    '"',
    "{",
    '{"a":',
    "a ",
    "\n",
    "Verdict:",
    "\nLabel: ",
]


@pytest.mark.parametrize("start", ["", "Review", "Verdict", "Label: yes"])
def test_an_answer_that_repeats_itself_is_parsed_in_time(start):
    for unit in UNITS:
        completion = start + unit * (HUGE // len(unit))
        began = time.process_time()
        for form in ("text", "pair and label"):
            assert isinstance(parse(completion, FORMS[form]), Parsed | Unparsed)
        assert time.process_time() - began < SLOW_S, unit


PLAIN_WORDS = [*WORDS, "the", "was", "\u05e9\u05dc\u05d5\u05dd", "na\u00efve"]
# plain words, so that nothing at their ends is taken for a mark around them
plain = st.lists(
    st.sampled_from([*WORDS, "the", "was", "\u05e9\u05dc\u05d5\u05dd", "na\u00efve"]), min_size=1
).map(" ".join)


@examples(40)
@given(text=plain, pair=plain, label=st.sampled_from(["yes", "no"]), swap=st.booleans())
def test_a_row_in_the_form_that_is_asked_for_comes_back(text, pair, label, swap):
    lines = [f"Premise: {text}", f"Hypothesis: {pair}"]
    lines = [*(lines[::-1] if swap else lines), f"Label: {label}"]
    assert parse("\n".join(lines), FORMS["pair"]) == Parsed(text, pair)
    assert parse("\n".join(lines), FORMS["pair and label"]) == Parsed(text, pair, label)
    assert parse(PAIRS.show(text, pair, label), FORMS["pair and label"]) == Parsed(
        text, pair, label
    )
    assert parse(text, FORMS["text"]) == Parsed(text)


@examples(60)
@given(text=completions, pair=completions, is_ascii=st.booleans())
@example(text="a ```b c``` d", pair="e", is_ascii=True)
def test_no_text_breaks_the_form_of_json(text, pair, is_ascii):
    """Recorded pairs are replayed in it."""
    text, pair = (one.encode("utf-8", "replace").decode() for one in (text, pair))
    assume(text.strip() and pair.strip())
    completion = json.dumps({"text": text, "text_pair": pair}, ensure_ascii=is_ascii)
    assert parse(completion, FORMS["pair"]) == Parsed(text.strip(), pair.strip())


@examples(60)
@given(completion=completions)
def test_what_was_found_in_an_answer_is_found_in_it_again(completion):
    """Written down in a form that holds any text, a row is the row that it was."""
    found = parse(completion.encode("utf-8", "replace").decode(), FORMS["text"])
    if isinstance(found, Parsed):
        assert parse(json.dumps({"text": found.text}), FORMS["text"]) == found
