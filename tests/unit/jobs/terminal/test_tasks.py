"""What ``textmill tasks`` prints."""

import pytest

from engine.prompts.samples import sample_prompts
from engine.tasks.task import builtin_tasks, load_task
from jobs.terminal import tasks as show_tasks


@pytest.mark.parametrize("name", builtin_tasks())
def test_every_prompt_of_a_task_is_shown_in_full(name, tmp_path):
    shown = show_tasks.task(name)
    for title, text in sample_prompts(load_task(name, tmp_path), shots=(3, 5)):
        lines = [title, *(f"  | {line}".rstrip() for line in text.splitlines())]
        assert "\n".join(["", *lines, ""]) in shown


def test_many_topics_are_shown_in_short():
    shown = show_tasks.task("boolq")
    assert "\n150 topics\n  the history of a bridge, volcanoes, " in shown
    assert "and 138 more\n" in shown
    assert "juries" not in shown


def test_tasks_are_listed_with_labels_that_can_be_told_apart():
    lines = show_tasks.tasks().splitlines()
    assert len(lines) == len(builtin_tasks())
    assert "boolq           2 labels: True, False" in lines
    assert any("Sports; Arts, Culture, and Entertainment; Business" in line for line in lines)
