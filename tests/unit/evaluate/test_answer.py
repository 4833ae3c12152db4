import pytest

from engine.evaluate.answer import named_label

LABELS = ["entailment", "not entailment", "Sci/Tech", "C++"]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("entailment", "entailment"),
        (' "Entailment".\n', "entailment"),
        ("**not entailment**", "not entailment"),
        ("The label is: sci/tech.", "Sci/Tech"),
        ("I would say Not Entailment here.", "not entailment"),
        ("entailment, yes: entailment", "entailment"),
        ("It is C++, surely", "C++"),
        ('{"label": "Sci/Tech"}', "Sci/Tech"),
        ("<think>entailment? C++?</think>\n\nSci/Tech", "Sci/Tech"),
        ("<think>It may be entailment, let me", None),
        ("", None),
        ("I cannot tell.", None),
        ("entailment or not entailment", None),
        ("entailments", None),
        ("disentailment", None),
    ],
)
def test_an_answer_names_the_one_label_that_stands_in_it(answer, label):
    assert named_label(answer, LABELS) == label


def test_labels_that_differ_in_case_alone_are_told_apart_by_it():
    assert named_label("US", ["us", "US"]) == "US"
    assert named_label("Us", ["us", "US"]) is None
    assert named_label("It is US.", ["us", "US"]) is None


def test_the_order_of_the_labels_does_not_matter():
    for answer in ("it is not entailment", "C++", "Sci/Tech or C++"):
        assert named_label(answer, LABELS) == named_label(answer, LABELS[::-1])
