"""What another version of textmill wrote is recognised: left unused with the reason, or refused."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import textmill
from done_study import WORDS, make_done
from root_snapshot import snapshot

from engine.status.versions import Other, document
from engine.steps.identity import VERSIONS, version_of
from engine.store.seal import seal_document, seal_table
from engine.store.store import Store


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return make_done(tmp_path_factory.mktemp("done"))


@pytest.fixture
def made(done, tmp_path):
    """A copy of it."""
    shutil.copytree(done, tmp_path / "made", symlinks=True)
    return tmp_path / "made"


def one_of(folder, pattern):
    return next(iter(sorted((folder / "root").glob(pattern))))


def test_the_version_that_wrote_a_recipe_or_a_run_is_told_from_its_fingerprint(made, monkeypatch):
    files = {"pool": "pools/*/recipe.json", "view": "views/*/recipe.json", "run": "runs/*.json"}
    for kind, pattern in files.items():
        file = one_of(made, pattern)
        store = Store.open(str(made / "root"))
        body = store.document(str(file.relative_to(made / "root")))
        own = VERSIONS[kind]
        assert version_of(body) == own
        for other in (own + 1, 1):  # as an older textmill, and a newer one, see it
            monkeypatch.setitem(VERSIONS, kind, other)
            assert version_of(body) == own
        monkeypatch.setitem(VERSIONS, kind, own)
        assert version_of({**body, "reads": {**body["reads"], "more": 1}}) is None


@pytest.mark.parametrize(("step", "whose"), [(1, "an older"), (-1, "a newer")])
def test_plan_and_status_tell_what_another_version_made_and_why_it_is_not_used(
    made, monkeypatch, step, whose
):
    own = {kind: VERSIONS[kind] for kind in ("pool", "view")}
    for kind, version in own.items():
        monkeypatch.setitem(VERSIONS, kind, version + step)
    for command in ("plan", "status"):
        said = textmill(command, *WORDS, folder=made)
        assert said.returncode == 0, said.stderr
        for kind, version in own.items():
            assert (
                f"Not used: 1 {kind}s of VERSION {version}, which {whose} textmill made for the "
                f"same study. This one writes VERSION {version + step}, and makes them anew."
            ) in said.stdout
    plan = json.loads(textmill("plan", *WORDS, "--json", folder=made).stdout)
    pools = [one for one in plan["steps"] if one["kind"] == "pool"]
    assert [tuple(one["other"]) for one in pools] == [Other("pool", own["pool"])]
    assert pools[0]["why"].startswith(f"one of VERSION {own['pool']} is there")


def test_another_recipe_is_not_taken_for_one_of_another_version(made, monkeypatch):
    monkeypatch.setitem(VERSIONS, "pool", VERSIONS["pool"] + 1)
    other = [*WORDS, "--set", "generate.engine=user_plugins:Backwards"]
    said = textmill("plan", *other, folder=made).stdout
    assert "generate.engine" in said
    assert "pools of VERSION" not in said


def test_a_run_of_another_version_is_shown_as_stale(made, monkeypatch):
    monkeypatch.setitem(VERSIONS, "run", VERSIONS["run"] + 1)
    said = textmill("plan", *WORDS, folder=made).stdout
    assert f"2 missing: stale: made under VERSION {VERSIONS['run'] - 1}, and this textmill" in said
    assert f"Not used: 2 runs of VERSION {VERSIONS['run'] - 1}" in said


def resealed(change):
    """Write a sealed table anew after ``change``."""

    def write(path):
        table = pq.read_table(path).replace_schema_metadata(None)
        notes = json.loads(pq.read_metadata(path).metadata[b"textmill.notes"])
        path.write_bytes(seal_table(change(table), notes))

    return write


def with_key(path):
    """Say in a table's footer that it has another format."""
    table = pq.read_table(path)
    metadata = {**pq.read_metadata(path).metadata, b"textmill.format": b"2"}
    metadata.pop(b"ARROW:schema", None)
    pq.write_table(table.replace_schema_metadata(metadata), path)


def rewritten(**parts):
    """Write a sealed document anew, with other parts; without those that are None."""

    def write(path):
        body = {**json.loads(path.read_bytes())["body"], **parts}
        kept = {name: part for name, part in body.items() if part is not None}
        path.write_bytes(seal_document(kept))

    return write


def with_format(path):
    path.write_text(json.dumps({"format": 2, "content": json.loads(path.read_bytes())["body"]}))


CASES = {
    "a pool segment lacks a column": (
        "pools/*/rows/*",
        resealed(lambda table: table.drop_columns(["mean_logprob"])),
        "lacks the column 'mean_logprob'",
    ),
    "a view segment has one more": (
        "views/*/rows/*",
        resealed(lambda table: table.append_column("mood", pa.nulls(len(table), pa.string()))),
        "has the unknown column 'mood'",
    ),
    "a view segment has another format": ("views/*/rows/*", with_key, "its format is '2'"),
    "a run is of an unknown kind": ("runs/*", rewritten(kind="walk"), "unknown kind 'walk'"),
    "a run lacks its scores": ("runs/*", rewritten(splits=None), "lacks 'splits'"),
    "a run has another format": ("runs/*", with_format, "its format is 2"),
    "a recipe is of an unknown kind": (
        "pools/*/recipe.json",
        rewritten(kind="dough"),
        "unknown kind 'dough'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_of_another_format_is_refused_with_the_reason_and_left_alone(made, case):
    pattern, change, reason = CASES[case]
    path = one_of(made, pattern)
    change(path)
    before = snapshot(made / "root")
    for words in (["run"], ["status", "--verify"]):
        said = textmill(*words, *WORDS, folder=made)
        assert said.returncode == 2, said.stderr + said.stdout
        assert reason in said.stderr
        assert f"{path.relative_to(made / 'root')} was written by another version" in said.stderr
        assert "Use the textmill that wrote it" in said.stderr
    assert snapshot(made / "root") == before


def test_what_is_read_without_a_check_beforehand_is_refused_in_the_same_words(made):
    view, run = one_of(made, "views/*/rows/*"), one_of(made, "runs/*")
    whole = run.read_bytes()
    rewritten(splits=None)(run)
    said = textmill("report", *WORDS, folder=made)
    assert (said.returncode, "lacks 'splits'" in said.stderr) == (2, True)
    run.write_bytes(whole)
    with_key(view)
    for command in ("plan", "status", "report"):
        said = textmill(command, *WORDS, folder=made)
        assert (said.returncode, "its format is '2'" in said.stderr) == (2, True), said.stderr


def test_a_file_of_nobody_s_format_is_no_hindrance_to_others(made):
    stray = made / "root" / "pools" / "others-0123456789abcdef" / "recipe.json"
    stray.parent.mkdir()
    stray.write_bytes(seal_document({"kind": "dough"}))
    name = str(Path("pools", stray.parent.name, stray.name))
    assert document(name, Store.open(str(made / "root"))) is None
    assert textmill("plan", *WORDS, folder=made).returncode == 0
