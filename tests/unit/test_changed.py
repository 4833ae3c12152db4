"""Which tests are found to be touched by a change."""

import pytest
from changed import ROOT, files_of_tests, touched


def names(paths):
    return [path.relative_to(ROOT).as_posix() for path in paths]


@pytest.mark.parametrize(
    ("change", "touches", "leaves"),
    [
        ("engine/evaluate/curve.py", "tests/unit/evaluate/test_curve.py", "tests/unit/curate"),
        # through others, and also where only a function imports it
        ("engine/fingerprint.py", "tests/unit/plan/test_sharing.py",
         "tests/unit/evaluate/test_answer.py"),
        ("jobs/terminal/plan.py", "tests/unit/jobs/test_bad_input.py", "tests/unit/evaluate"),
        # a plug-in is named in a table, and nowhere imported
        ("engine/generate/engines/transformers_engine.py",
         "tests/unit/generate/engines/test_transformers.py", "tests/unit/evaluate"),
        ("engine/curate/filters/copies.py", "tests/unit/curate/test_filters.py",
         "tests/unit/evaluate"),
        # or in the text of a study
        ("tests/helpers/poisonous_plugins.py", "tests/unit/curate/test_strange_texts.py",
         "tests/unit/evaluate"),
        ("tests/unit/search/conftest.py", "tests/unit/search/test_sampler.py", "tests/ray"),
        ("tests/unit/test_api.py", "tests/unit/test_api.py", "tests/unit/evaluate"),
        ("tests/conftest.py", "tests/unit/test_fingerprint.py", "no such folder"),
        # what is no code
        ("engine/curate/README.md", "tests/unit/test_pages.py", "tests/unit/evaluate"),
        ("engine/tasks/catalog/sst2.toml", "tests/unit/tasks/test_catalog.py",
         "tests/unit/evaluate"),
        ("cluster/kuberay-rayjob.yaml", "tests/cluster/test_manifests.py", "tests/unit/evaluate"),
    ],
)  # fmt: skip
def test_a_change_touches_what_rests_on_it_and_nothing_else(change, touches, leaves):
    assert (ROOT / change).exists()
    found = touched([change])
    assert touches in found
    assert not [name for name in found if name.startswith(leaves)]


def test_whole_commands_are_left_out_unless_they_are_asked_for():
    few, every = touched(["jobs/cli.py"]), touched(["jobs/cli.py"], every=True)
    tiers = {name.split("/")[1] for name in set(every) - set(few)}
    assert tiers == {"flow", "faults"}
    assert "tests/flow/test_run.py" in every
    assert "tests/faults/test_commit_points.py" in every


def test_what_is_installed_touches_all_and_what_is_gone_nothing():
    assert touched(["pyproject.toml"], every=True) == names(files_of_tests())
    assert touched(["engine/gone.py"]) == []
