"""What another version of textmill wrote is recognised: left unused with the reason, or refused."""

import shutil

import pytest
from command import textmill
from done_study import WORDS, make_done
from root_snapshot import snapshot

from engine.steps.identity import VERSIONS


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return make_done(tmp_path_factory.mktemp("done"))


@pytest.fixture
def made(done, tmp_path):
    """A copy of it."""
    shutil.copytree(done, tmp_path / "made", symlinks=True)
    return tmp_path / "made"


def test_run_says_what_it_does_not_use_and_leaves_it_as_it_is(made, monkeypatch):
    before = snapshot(made / "root")
    for kind in ("pool", "run"):
        monkeypatch.setitem(VERSIONS, kind, VERSIONS[kind] + 1)
    done = textmill("run", *WORDS, folder=made)
    assert done.returncode == 0, done.stderr
    for kind, count in (("pool", 1), ("run", 2)):
        assert f"Not used: {count} {kind}s of VERSION {VERSIONS[kind] - 1}" in done.stderr
    after = snapshot(made / "root")
    assert {path: after[path] for path in before} == before
    assert len(after) > len(before)
    again = textmill("status", *WORDS, folder=made)
    assert "Not used" not in again.stdout
