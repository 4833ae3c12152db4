"""Whatever an LLM writes: it is parsed to what can be stored, or refused, and soon."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from poisonous_plugins import (
    MEGABYTE,
)
from toy_study import make_toy

from engine.curate.filters.refusal import REFUSAL
from engine.curate.parse import Parsed, Unparsed, layout, parse
from engine.curate.text import normalised
from engine.plan.plan import make_plan
from engine.store.schema import storable
from engine.study.load import load_study

TOO_LONG_S = 5.0  # what follows takes less than a second, and days if it takes the long way


# What needs no study

PARTS = st.one_of(
    st.text(st.characters()),
    st.sampled_from(["Review", "REV\u0130EW", "rev\u0131ew", "Verdict", "good", "bad", "1."]),
    st.sampled_from([":", "\n", "**", "```", '"', "{", "}", "\0", "\u202e", "\ud800", "\x85"]),
    st.builds(json.dumps, st.dictionaries(st.sampled_from(["review", "Verdict"]), st.text())),
    st.sampled_from(['{"review": "\\udfff"}', '{"review": 1}', '{"review": "", "verdict": true}']),
)


@pytest.fixture(scope="module")
def forms(tmp_path_factory, tiny_model):
    """How answers of the toy task are laid out: a text alone, and one with a label to be told."""
    folder = make_toy(tmp_path_factory.mktemp("forms"), tiny_model)
    task = make_plan(load_study(folder / "study.toml", [])).pools[0].task
    labelled = task.model_copy(update={"fields": {**task.fields, "label": "Verdict"}})
    return layout(task), layout(labelled)


@given(parts=st.lists(PARTS, max_size=8))
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_is_parsed_to_what_can_be_stored_or_has_a_reason(forms, parts):
    completion = storable("".join(parts))
    for form in forms:
        found = parse(completion, form)
        if isinstance(found, Unparsed):
            assert found.reason in ("empty", "unparsed", "unknown_label")
        else:
            assert found.text
            assert found == Parsed(*(one and one.encode().decode() for one in found))
            assert found.label in (None, *form.labels)
            assert normalised(found.text).encode()


@given(text=st.text(st.characters()))
@settings(deadline=None)
def test_what_can_be_stored_differs_from_what_was_written_in_lone_surrogates_alone(text):
    stored = storable(text)
    assert stored.encode().decode() == stored
    assert len(stored) == len(text)
    changed = [old for old, new in zip(text, stored, strict=True) if old != new]
    assert all("\ud800" <= one <= "\udfff" for one in changed)


@pytest.mark.parametrize(
    "start",
    ["Verdict", "Verdict: good", "Review", "I", "I can", "I'", "Sorry, I can", "Sure", "1."],
)
@pytest.mark.parametrize("filling", [":", " ", "\n", "*", "\0", "{", "\u202e"])
def test_a_megabyte_of_one_character_takes_no_longer_than_reading_it(forms, start, filling):
    completion, began = f"{start}{filling * MEGABYTE}x", time.monotonic()
    for form in forms:
        parse(completion, form)
    assert REFUSAL.match(completion) is None
    assert time.monotonic() - began < TOO_LONG_S
