"""Every kind of file that lies under a root is damaged in every way; nothing comes of it."""

import contextlib
import json
import random
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import textmill
from root_snapshot import outcome
from toy_study import make_toy

from engine.errors import DamagedError
from engine.plan.plan import make_plan
from engine.search.clock import Clock
from engine.status.files import files_of
from engine.store.files import is_temporary
from engine.store.kinds import Kind, kind_of
from engine.store.seal import open_document, seal_document, seal_table
from engine.store.store import Store, is_leftover
from engine.study.load import load_study

STUDY = """
name = "toy"
task = "task.toml"
repeats = 2
[generate]
engine = "standin_llm:StandIn"
topics = {write = 6}
[train]
model = "./model"
steps = 2
precision = "float32"
[resources]
run_on = "here"
fleet = 1
keep_models = true
share = "turns"
[diagnose]
model = "./model"
real = 20
[factors]
quantity = [40]
strategy = ["topic", "zero_shot"]
trainer = ["head", "finetune"]
"""
WORDS = ["study.toml", "--root", "root"]
CHECKED = {kind for kind in Kind if kind.value.check}  # others are shown alone, or left of mending
SITTINGS = "studies/toy/search"
SINGLE = {Kind.TOPICS, Kind.REFERENCES, Kind.SITTING}  # there is one of each


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_model):
    """A folder with a study that has a file of every kind, and what it came to."""
    folder = make_toy(tmp_path_factory.mktemp("done"), tiny_model)
    (folder / "study.toml").write_text(STUDY)
    made = textmill("run", *WORDS, folder=folder)
    assert made.returncode == 0, made.stderr + made.stdout
    Clock(SITTINGS, Store.open(str(folder / "root")), None).note()
    return folder, outcome(folder / "root")


@pytest.fixture
def copy(done, tmp_path):
    """A copy of the folder."""
    shutil.copytree(done[0], tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def files_by_kind(root):
    """Return the files under a root, but those that are shown alone, by their kind."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not is_leftover(name) and kind_of(name) in CHECKED:
            found.setdefault(kind_of(name), []).append(path)
    return found


def emptied(path):
    path.write_bytes(b"")


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[random.Random(path.name).randrange(len(data))] ^= 1 << random.Random(path.name).randrange(
        7
    )
    path.write_bytes(data)


def removed(path):
    path.unlink()


WAYS = (emptied, halved, flipped, removed)


def test_no_kind_of_file_is_without_a_check_but_what_is_shown_or_left_of_mending():
    unchecked = {Kind.ASIDE, Kind.STALE, Kind.PROBE, Kind.SHOWN, Kind.PAGE, Kind.SEARCH_PAGE}
    assert set(Kind) - CHECKED == unchecked


def test_every_kind_of_file_has_a_case(done):
    kinds = set(files_by_kind(done[0] / "root"))
    # recorded rows are written and read as gold rows are
    assert kinds == CHECKED - {Kind.RECORDS}


def test_every_kind_of_file_is_looked_at_before_work_begins(done):
    plan = make_plan(load_study(done[0] / "study.toml", []))
    names = set(files_of(plan, Store.open(str(done[0] / "root"))))
    for paths in files_by_kind(done[0] / "root").values():
        assert {str(path.relative_to(done[0] / "root")) for path in paths} <= names


def damage(root, kinds, ways):
    """Damage of each kind as many files as there are ways, if there are so many."""
    found = []
    for kind, paths in files_by_kind(root).items():
        if kind in kinds:
            draw = random.Random(str([way.__name__ for way in ways]))
            paths = draw.sample(paths, len(paths))
            if kind is Kind.MODEL:  # without its checksums no other file is known
                paths = list({path.parent: path for path in paths}.values())
            chosen = paths[: len(ways)]
            for path, way in zip(chosen, ways, strict=False):
                way(path)
                found.append((str(path.relative_to(root)), way))
    return found


def test_status_names_every_damaged_file_and_nothing_else(copy):
    root = copy / "root"
    sound = textmill("status", *WORDS, "--verify", folder=copy)
    assert sound.returncode == 0, sound.stdout + sound.stderr
    damaged = damage(root, set(Kind), [emptied, halved, flipped])
    said = textmill("status", *WORDS, "--verify", folder=copy)
    assert said.returncode == 1
    named = re.findall(r"^damaged: (\S+) \(.+\)$", said.stdout, re.MULTILINE)
    assert sorted(named) == sorted(name for name, _ in damaged)
    told = json.loads(textmill("status", *WORDS, "--verify", "--json", folder=copy).stdout)
    assert sorted(told["damaged"]) == sorted(named)


def mended(copy, damaged, undisturbed):
    """Run the study, and check that all that was damaged is made again as it was."""
    root = copy / "root"
    done = textmill("run", *WORDS, folder=copy)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    for name, way in damaged:
        if way is not removed:
            assert f"{name} is set aside" in done.stderr
        if kind_of(name).value.is_needed:
            assert (root / name).is_file(), name
    assert outcome(root) == undisturbed
    verified = textmill("status", *WORDS, "--verify", folder=copy)
    assert verified.returncode == 0, verified.stdout
    assert not [path for path in root.rglob("*") if is_temporary(path.name)]
    return done


@pytest.mark.parametrize("ways", [(emptied, flipped), (removed, halved)])
def test_a_study_with_damage_of_every_kind_comes_to_the_same(copy, done, ways):
    damaged = damage(copy / "root", set(Kind), ways)
    assert len({kind_of(name) for name, _ in damaged}) == len(files_by_kind(done[0] / "root"))
    mended(copy, damaged, done[1])


@pytest.mark.parametrize("way", [flipped, halved, removed, emptied])
def test_what_there_is_one_of_is_made_again_without_engines_or_training(copy, done, way):
    cheap = {*SINGLE, Kind.GOLD, Kind.POOL_RECIPE, Kind.VIEW_RECIPE}
    told = mended(copy, damage(copy / "root", cheap, [way]), done[1])
    assert "generate:" not in told.stderr
    assert "train:" not in told.stderr


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", sorted(CHECKED - {Kind.RECORDS}, key=lambda kind: kind.name))
def test_each_kind_of_file_can_be_damaged_alone_in_each_way(copy, done, kind, way):
    mended(copy, damage(copy / "root", {kind}, [way]), done[1])


@pytest.mark.long
def test_a_classifier_goes_with_its_run_since_they_come_from_one_training(copy, done):
    root = copy / "root"
    weights = next(iter(sorted(root.glob("models/*/model.safetensors"))))
    flipped(weights)
    left = textmill("run", *WORDS, "--set", "resources.keep_models=false", folder=copy)
    assert left.returncode == 0  # who keeps none reads none
    assert "models" not in left.stderr
    told = mended(copy, [(str(weights.relative_to(root)), flipped)], done[1])
    assert "train: 1 of 1 runs" in told.stderr


def resealed(path, change, **notes):
    """Write a segment anew by a wrong hand, with a checksum that agrees."""
    table = pq.read_table(path).replace_schema_metadata(None)
    said = json.loads(pq.read_metadata(path).metadata[b"textmill.notes"])
    path.write_bytes(seal_table(change(table), {**said, **notes}))


def wrongly_counted(root):
    """Do to one file of each kind what its checksum does not tell; return names and reasons."""
    pools = sorted(root.glob("pools/toy-*/rows/*000000000-*"))
    views = sorted(root.glob("views/*/rows/*000000000-*"))
    resealed(pools[0], lambda table: table.slice(0, 9), rows=9)
    resealed(pools[1], lambda table: pa.concat_tables([table.slice(0, 15), table.slice(0, 1)]))
    pools[2].write_bytes(pools[3].read_bytes())
    resealed(views[0], lambda table: table.slice(1), rows=15)
    resealed(views[1], lambda table: table, labels={})
    gold = next(iter(sorted(root.glob("gold/*train*"))))
    resealed(gold, lambda table: table.slice(1))
    runs = sorted(root.glob("runs/*"))
    runs[0].write_bytes(runs[1].read_bytes())
    return {
        pools[0]: "its 9 rows are not the 16 from 0 to 15 that it is called by",
        pools[1]: "its 16 rows are not the 16 from 0 to 15 that it is called by",
        pools[2]: "its rows belong to another",
        views[0]: "its 15 rows are not the 16 from 0 to 15 that it is called by",
        views[1]: "it counts other outcomes than its rows have",
        gold: "its rows are not those that it is called by",
        runs[0]: "it belongs to something else",
    }


@pytest.mark.long
def test_what_a_wrong_hand_sealed_is_found_by_what_it_counts_and_made_again(copy, done):
    root = copy / "root"
    wrong = {str(path.relative_to(root)): why for path, why in wrongly_counted(root).items()}
    said = textmill("status", *WORDS, "--verify", folder=copy)
    assert said.returncode == 1
    found = dict(re.findall(r"^damaged: (\S+) \((.+)\)$", said.stdout, re.MULTILINE))
    assert found.keys() == wrong.keys()
    assert all(found[name].startswith(why) for name, why in wrong.items())
    mended(copy, [(name, resealed) for name in wrong], done[1])


def test_a_footer_that_lies_about_itself_is_damage_and_no_traceback(done):
    """Footers are read without their file's checksum; what cannot be read off them is said."""
    root = done[0] / "root"
    store = Store.open(str(root))
    path = next(iter(sorted(root.glob("views/*/rows/*"))))
    name, data = str(path.relative_to(root)), path.read_bytes()
    start = data.rfind(b"textmill.notes")
    try:
        for place in range(start - 40, len(data)):
            path.write_bytes(data[:place] + bytes([data[place] ^ 2]) + data[place + 1 :])
            with contextlib.suppress(DamagedError):
                assert store.notes(name)[0].keys() >= {"chain", "rows", "labels", "refused"}
    finally:
        path.write_bytes(data)


def test_runs_whose_rows_came_out_otherwise_are_stale_and_redone(copy, done):
    """An engine that is not deterministic fills a damaged segment with other rows."""
    root = copy / "root"
    pool = next(iter(sorted(root.glob("pools/toy-zero*/rows/*000000000-*"))))
    table = pq.read_table(pool)
    other = [text.replace("a", "o") for text in table["completion"].to_pylist()]
    place = table.column_names.index("completion")
    resealed(pool, lambda table: table.set_column(place, "completion", pa.array(other)))
    before = {path.name for path in (root / "runs").iterdir()}
    # the rows are judged anew, as they would be had an engine made them again just now
    stale = textmill("plan", *WORDS, "--pilot", folder=copy)
    assert "3 missing: stale: made before this changed: training_set" in stale.stdout, stale.stderr
    redone = textmill("run", *WORDS, folder=copy)
    assert redone.returncode == 0, redone.stderr
    assert "train: 3 of 3 runs" in redone.stderr  # of this recipe: two repeats, and a head
    after = {path.name for path in (root / "runs").iterdir()}
    assert len(after - before) == 3
    results = pq.read_table(root / "studies" / "toy" / "results.parquet").to_pylist()
    own = {row["run"] for row in results if row["strategy"] == "zero_shot"}
    assert own == {f"runs/{name}" for name in after - before}
    others = {row["run"] for row in results if row["strategy"] == "topic"}
    assert others == {row["run"] for row in done[1][1] if row["strategy"] == "topic"}


def test_a_lost_sitting_is_told_and_does_not_stop_the_search(copy):
    root = copy / "root"
    store = Store.open(str(root))
    (sitting,) = (root / SITTINGS / "sittings").iterdir()
    body = open_document(sitting.read_bytes(), "it")
    sitting.write_bytes(seal_document({**body, "seconds": 3600.0}))
    assert Clock(SITTINGS, store, None).hours == pytest.approx(1, abs=0.01)
    halved(sitting)
    assert Clock(SITTINGS, store, None).hours == pytest.approx(0, abs=0.01)
    told = textmill("run", *WORDS, folder=copy)
    assert "and how long that sitting took does not count any more" in told.stderr
