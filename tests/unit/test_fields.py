"""The reference of fields is what the code says, and says something of every field."""

import re

import pytest
from pydantic import BaseModel

from engine.study import reference
from engine.study.study import Study
from engine.tasks.task import Task
from engine.tasks.toml_files import _models_in

CONFIGS = [config for page in reference.PAGES.values() for config in page.values()]


def configs_in(kind):
    """Return a config and all that can stand in it."""
    found = {kind}
    for field in kind.model_fields.values():
        for inner in _models_in(field.annotation):
            found |= configs_in(inner)
    return found


@pytest.mark.parametrize(
    "page", reference.PAGES, ids=lambda page: f"{page.parent.name}/{page.name}"
)
def test_a_page_is_what_the_code_makes_it(page):
    text = page.read_text(encoding="utf-8")
    assert text == reference.with_reference(page), "run python -m engine.study.reference"


def test_every_config_of_a_study_and_a_task_has_its_section_once():
    assert set(CONFIGS) == configs_in(Study) | configs_in(Task)
    assert len(CONFIGS) == len(set(CONFIGS))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_field_has_a_text_and_no_text_is_of_no_field(config):
    assert list(reference.texts(config)) == list(config.model_fields)
    assert all(text.endswith(".") for text in reference.texts(config).values())
    assert reference.summary(config)
    for kind in config.__mro__:
        if issubclass(kind, BaseModel) and kind is not BaseModel:
            named = re.findall(r"^        (\w+): ", kind.__doc__ or "", re.MULTILINE)
            assert set(named) <= set(config.model_fields)


def test_a_field_is_one_row_with_its_kind_default_and_text():
    page = next(page for page in reference.PAGES if page.name == "FIELDS.md")
    rows = page.read_text(encoding="utf-8").splitlines()
    for row in (
        "| `batch_size` | whole number ≥ 1 | `32` | Rows per step. |",
        "| `low` | number | required | The least. |",
        "| `learning_rate` | number > 0 and ≤ 1 | `5e-5` | Peak of AdamW's learning rate. |",
        "| `seed` | whole number ≥ 0 | `0` | Of the sampler. |",
    ):
        assert rows.count(row) == 1
    (replicas,) = [
        line
        for line in page.with_name("RESOURCES.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `replicas`")
    ]
    assert replicas.startswith(
        "| `replicas` | whole number ≥ 1, or list of 2 whole numbers ≥ 1 | `1`"
    )


def test_a_page_without_its_marks_is_refused(tmp_path):
    page = tmp_path / "FIELDS.md"
    page.write_text("# Fields\n<!-- fields -->\n")
    with pytest.raises(ValueError, match="lacks <!-- fields -->"):
        reference.with_reference(page)
