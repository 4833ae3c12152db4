"""The prompts of the six tasks of Li et al. 2024, as they are written down in ``expected/``.

Each file there has every prompt of one task in full, and says at its top what the paper asks for
(arXiv:2407.12813, appendix A, B and D). A prompt that changes is changed there by hand, or read in
what this prints, which changes no file:

    PYTHONPATH=. python tests/unit/prompts/test_paper_prompts.py boolq
"""

import re
import sys
from pathlib import Path

import pytest

from engine.prompts.call import as_asked
from engine.prompts.classify import Classify
from engine.prompts.rephrase import Rephrase
from engine.prompts.samples import sample_prompts
from engine.prompts.second import Second
from engine.prompts.strategy import Origin, Shot, strategy_class
from engine.store.schema import NONE, RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import builtin_tasks, load_task

EXPECTED = Path(__file__).parent / "expected"
PAPER = ["amazon_reviews", "boolq", "emotion", "nyt_topics", "rte", "sst2"]
PAIRS = ["boolq", "rte"]
STRATEGIES = ["zero_shot", "topic", "one_shot", "few_shot"]
ASKING = ["zero_shot", "topic", "one_shot", "few_shot, shots = 3", "few_shot, shots = 5"]
REST = ["rephrase", "topics = {write = 500}", "baseline, shots = 0", "baseline, shots = 5"]
SECTION = re.compile(r"^## ([^\n]+)\n\n```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


def task_of(name):
    return load_task(name, Path())


def found(name):
    return dict(sample_prompts(task_of(name), shots=(3, 5)))


def expected(name):
    text = (EXPECTED / f"{name}.md").read_text(encoding="utf-8")
    sections = SECTION.findall(text)
    assert len(sections) == text.count("\n## "), "a heading without a prompt"
    assert len(dict(sections)) == len(sections), "a heading twice"
    return dict(sections)


def test_each_task_of_the_paper_is_written_down():
    assert sorted(path.stem for path in EXPECTED.iterdir()) == PAPER


@pytest.mark.parametrize("name", [name for name in PAPER if name != "boolq"])
def test_a_task_has_a_prompt_for_each_strategy_in_both_manners(name):
    left_to_right = [f"{title}, left to right" for title in ASKING]
    assert list(expected(name)) == [*ASKING, *left_to_right, *REST]


def test_boolq_is_asked_in_two_calls_where_no_row_is_asked_whole():
    begun = [f"{title}, first call" for title in ASKING[:3]]
    asked = [*ASKING[3:], "zero_shot, topic and one_shot, second call"]
    left_to_right = [f"{title}, left to right" for title in asked]
    assert list(expected("boolq")) == [*begun, *asked, *left_to_right, *REST]


@pytest.mark.parametrize("name", PAPER)
def test_no_prompt_is_missing_or_unknown(name):
    assert list(found(name)) == list(expected(name))


@pytest.mark.parametrize(
    ("name", "title"), [(name, title) for name in PAPER for title in found(name)]
)
def test_a_prompt_is_the_one_that_is_written_down(name, title):
    assert found(name)[title] == expected(name)[title]


@pytest.fixture(params=PAPER)
def task(request):
    return task_of(request.param)


@pytest.fixture(params=PAIRS)
def pair(request):
    return task_of(request.param)


def shots_of(task):
    """Three real rows of each label, with texts that stand in no prompt otherwise."""
    is_pair = "text_pair" in task.fields
    return [
        Shot(f"{label}/{number}", label, f"text {number}", f"pair {number}" if is_pair else None)
        for number, label in enumerate([*task.labels] * 3, start=100)
    ]


def whole(task):
    return as_asked(task, "whole", is_free=False)


def free(task):
    return as_asked(task, "whole", is_free=True)


def first(task):
    return as_asked(task, "first", is_free=False)


def ask(asked, strategy, slots, rows=30):
    """Yield rows and what is asked for them."""
    config = GenerateConfig(strategy=strategy, shots=3, topics=["bees", "trams"])
    asks = strategy_class(strategy)(asked, config, shots_of(asked))
    for slot in slots:
        for index in range(rows):
            row = RowId("pool", slot, index)
            yield row, asks.ask(row)


def label_shown(asked):
    return asked.attributes["shots"][0].split("/")[0]


def is_named(label, text):
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text) is not None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_prompt_says_what_the_asked_label_means(task, strategy):
    for row, asked in ask(whole(task), strategy, task.labels, rows=3):
        assert is_named(row.slot, asked.text)
        meant = [label for label, meaning in task.labels.items() if meaning in asked.text]
        assert meant == [row.slot]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_left_to_right_a_prompt_lists_the_labels_and_asks_for_the_line_of_one(task, strategy):
    for _, asked in ask(free(task), strategy, [NONE], rows=3):
        (line,) = re.findall(r"^The \w+ is one of: .*$", asked.text, re.MULTILINE)
        assert all(is_named(label, line) for label in task.labels)
        assert asked.text.endswith(f"\n{task.called_label}: ...")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_left_to_right_a_prompt_does_not_say_which_label_to_write(task, strategy):
    asked = [asked for _, asked in ask(free(task), strategy, [NONE])]
    assert not any(meaning in one.text for one in asked for meaning in task.labels.values())
    requests = {one.text.split("\n\n")[-1] for one in asked}
    assert len(requests) == (2 if strategy == "topic" else 1)  # whatever the label that is shown
    if strategy in ("one_shot", "few_shot"):
        assert {label_shown(one) for one in asked} == set(task.labels)


def test_one_shot_shows_a_row_of_the_asked_label(task):
    for row, asked in ask(whole(task), "one_shot", task.labels):
        assert [shot.split("/")[0] for shot in asked.attributes["shots"]] == [row.slot]


def test_one_shot_of_boolq_shows_a_row_of_the_asked_label_in_its_first_call():
    boolq = task_of("boolq")
    for row, asked in ask(first(boolq), "one_shot", boolq.labels):
        shown = asked.text.split("\n\n")[1]
        assert shown.startswith("Passage: pair ")
        assert shown.endswith(f"\nAnswer: {row.slot}")


def test_few_shot_shows_a_row_of_the_asked_label_first_and_others_of_any(task):
    others = set()
    for row, asked in ask(whole(task), "few_shot", task.labels):
        shown, *rest = (shot.split("/")[0] for shot in asked.attributes["shots"])
        assert shown == row.slot
        assert asked.text.split("\n\n")[1].endswith(f": {row.slot}")
        others.update(rest)
    assert others == set(task.labels)


@pytest.mark.parametrize("strategy", ["zero_shot", "topic"])
def test_boolq_s_first_call_shows_no_label(strategy):
    boolq = task_of("boolq")
    for _, asked in ask(first(boolq), strategy, boolq.labels):
        assert not any(is_named(label.casefold(), asked.text.casefold()) for label in boolq.labels)
        assert not any(meaning in asked.text for meaning in boolq.labels.values())


def test_boolq_s_second_call_shows_the_passage_and_names_the_answer():
    boolq = task_of("boolq")
    before = Origin("before", {"text_pair": "A passage."}, {"topic": "bees"})
    second = Second(boolq, as_asked(boolq, "second", is_free=False), lambda row: before)
    for label in boolq.labels:
        asked = second.ask(RowId("pool", label, 0))
        assert asked.text.startswith("Passage: A passage.\n\n")
        assert f"whose answer is {label}:" in asked.text
        assert asked.text.endswith("\nAnswer with the text alone.")


def test_a_row_in_other_words_is_asked_for_without_its_label(task):
    texts = {"text": "A text.", "text_pair": "A pair."}
    before = Origin("before", {field: texts[field] for field in task.fields}, {})
    again = Rephrase(as_asked(task, "rephrase", is_free=False), lambda row: before)
    asked = {again.ask(RowId("pool", label, 0)).text for label in task.labels}
    assert len(asked) == 1
    (prompt,) = asked
    assert "A text." in prompt
    assert "A pair." not in prompt
    for label, meaning in task.labels.items():
        assert not is_named(label, prompt)
        assert meaning not in prompt


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_prompt_for_a_pair_names_both_fields_in_order_in_the_form_of_the_answer(pair, strategy):
    form = "".join(f"\n{called}: ..." for called in pair.fields.values())
    for _, asked in ask(whole(pair), strategy, pair.labels, rows=1):
        assert asked.text.endswith(f"\nAnswer in this form:{form}")
    for _, asked in ask(free(pair), strategy, [NONE], rows=1):
        assert f"\nAnswer in this form:{form}\n" in asked.text


@pytest.mark.parametrize("count", [0, 3])
def test_the_llm_that_labels_a_row_does_not_see_its_label(task, count):
    def prompt(label):
        row = Shot("row", label, "text 0", "pair 0")
        asks = Classify(task, shots_of(task)[:count], lambda _: row)
        return asks.ask(RowId("pool", label, 0)).text

    asked = {prompt(label) for label in task.labels}
    assert len(asked) == 1
    (text,) = asked
    assert text.count("\nLabel: ") == count
    assert "Label: " not in text[text.index("text 0") :]


def test_labels_with_commas_are_set_apart_by_semicolons():
    text = found("nyt_topics")["one_shot, left to right"]
    assert text.count("Sports; Arts, Culture, and Entertainment; Business and Finance; ") == 2


@pytest.mark.parametrize("name", builtin_tasks())
def test_each_built_in_task_can_be_asked_with_each_strategy(name):
    titles = {title.split(",")[0] for title, _ in sample_prompts(task_of(name))}
    assert titles >= set(STRATEGIES)


def written(name):
    """Return the file of a task as it would be today, with what stands at its top."""
    path = EXPECTED / f"{name}.md"
    top = path.read_text(encoding="utf-8").split("\n## ")[0] if path.exists() else f"# {name}\n"
    parts = [f"## {title}\n\n```text\n{text}\n```" for title, text in found(name).items()]
    return "\n\n".join([top.rstrip(), *parts])


if __name__ == "__main__":
    print(written(sys.argv[1]))
