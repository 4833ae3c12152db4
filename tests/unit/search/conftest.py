"""What the tests of a search share: study files of a few lines, about a task that needs no data."""

from textwrap import dedent

import pytest

from engine.study.load import load_study


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """What writes a study file and reads it; the text is what follows its name and task."""

    def written(text, task='"demo-reviews"'):
        path = tmp_path_factory.mktemp("study") / "study.toml"
        path.write_text(f'name = "s"\ntask = {task}\n{dedent(text)}', encoding="utf-8")
        return load_study(path)

    return written
