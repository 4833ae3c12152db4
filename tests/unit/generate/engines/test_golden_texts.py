"""The embedded model writes what it wrote: the texts are those of the golden file.

Where others are meant, the pools' VERSION is raised and the file written anew:
``PYTHONPATH=.:tests/helpers python tests/helpers/golden_texts.py``.
"""

import json

import pytest
from golden_texts import GOLDEN, RECIPES, answers, summary


@pytest.fixture(scope="module")
def written():
    return answers()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_the_texts_that_it_had(written, name):
    golden, now = json.loads(GOLDEN.read_text(encoding="utf-8"))[name], summary(written[name])
    logprobs = golden.pop("mean_logprobs")
    assert now.pop("mean_logprobs") == pytest.approx(logprobs, abs=2e-4)
    assert now == golden
