"""The disk is full, or can only be read, or the clock goes back: each is said, and nothing lost."""

import os
import shutil
import subprocess
import time

import pytest
from command import textmill
from root_snapshot import outcome, snapshot
from toy_study import make_toy

from engine.store.files import is_temporary
from engine.store.kinds import PROBE
from engine.store.store import Store

WORDS = ["study.toml", "--root", "root"]
STUDY = """
name = "toy"
task = "task.toml"
repeats = 1
[generate]
engine = "wordy_engine:Wordy"
[train]
model = "./model"
trainer = "user_plugins:Guess"
[resources]
run_on = "here"
fleet = 1
share = "turns"
[factors]
quantity = [20, 60]
real = [10]
"""
ROOM = 150_000  # bytes: for the gold rows, and not for all of what is made of them


@pytest.fixture(scope="module")
def done(tmp_path_factory, model):
    """A folder with a study that was done on a disk with room, and what it came to."""
    folder = toy(tmp_path_factory.mktemp("done"), model)
    made = textmill("run", *WORDS, folder=folder)
    assert made.returncode == 0, made.stderr + made.stdout
    return folder, outcome(folder / "root")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder that has a model's files by name: nobody reads them."""
    folder = tmp_path_factory.mktemp("model")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}")
    return folder


def toy(folder, model):
    made = make_toy(folder, model)
    (made / "study.toml").write_text(STUDY)
    return made


@pytest.fixture
def disk(tmp_path, model):
    """A folder with a study whose root is a small disk of its own."""
    folder = toy(tmp_path, model)
    (folder / "root").mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder / "root")]
    if not shutil.which("mount") or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("this user may mount no tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder / "root")], check=True)


def remount(folder, option):
    words = ["mount", "-o", f"remount,{option}", str(folder / "root")]
    subprocess.run(words, check=True)


def fill(root, room=0):
    """Leave room for so many bytes alone on a disk."""
    state = os.statvfs(root)
    (root / "ballast").write_bytes(b"x" * (state.f_bavail * state.f_frsize - room))


def leftovers(root):
    """Return what a writer had not finished, or has not taken back."""
    return [path for path in root.rglob("*") if is_temporary(path.name) or PROBE in path.name]


def test_a_disk_that_fills_up_while_rows_are_made_is_said_to_be_full_and_loses_nothing(disk, done):
    root = disk / "root"
    fill(root, ROOM)
    full = textmill("run", *WORDS, folder=disk)
    assert full.returncode == 1, full.stderr + full.stdout
    assert f"error: The root {root} is full: make space there" in full.stderr
    assert full.stderr.rstrip().endswith("All files that are there are whole.")
    assert "run the same command to go on" in full.stderr
    assert "Traceback" not in full.stderr
    assert leftovers(root) == []
    before = snapshot(root)
    sound = textmill("status", *WORDS, "--verify", folder=disk)
    assert sound.returncode == 0, sound.stdout
    segments = [path for path in before if path.parent.parent.parent.name == "pools"]
    assert len(segments) < len(snapshot(done[0] / "root", ["pools"]))
    remount(disk, "size=16m")
    went_on = textmill("run", *WORDS, folder=disk)
    assert went_on.returncode == 0, went_on.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert outcome(root) == done[1]


def test_a_disk_that_fills_up_while_the_report_is_written_keeps_the_one_that_was_there(disk, done):
    root = disk / "root"
    shutil.copytree(done[0] / "root", root, dirs_exist_ok=True)
    page = root / "studies" / "toy" / "report.html"
    before, shown = snapshot(root), page.read_bytes()
    (page.parent / "report.md").unlink()  # what is there and unchanged is not written again
    fill(root, 20_000)
    for command in ("run", "report"):
        full = textmill(command, *WORDS, folder=disk)
        assert full.returncode == 1, full.stderr
        assert f"error: The root {root} is full" in full.stderr
        assert "Traceback" not in full.stderr
        assert (page.read_bytes(), leftovers(root)) == (shown, [])
    (root / "ballast").unlink()
    assert textmill("report", *WORDS, folder=disk).returncode == 0
    assert page.read_bytes() == shown
    assert snapshot(root) == before


def test_a_disk_that_is_full_already_is_refused_at_once(disk):
    fill(disk / "root")
    full = textmill("run", *WORDS, folder=disk)
    assert full.returncode == 2
    assert f"error: The root {disk / 'root'} is full" in full.stderr
    assert [path.name for path in (disk / "root").iterdir()] == ["ballast"]


@pytest.mark.long
def test_a_disk_that_is_full_before_training_ends_the_study_at_its_first_run(disk, done):
    root = disk / "root"
    for stage in ("gold", "pools", "views"):
        shutil.copytree(done[0] / "root" / stage, root / stage)
    fill(root, 12_000)  # for what is noted before
    full = textmill("run", *WORDS, folder=disk)
    assert full.returncode == 1, full.stderr
    assert f"The root {root} is full" in full.stderr
    assert "Traceback" not in full.stderr
    assert leftovers(root) == []
    (root / "ballast").unlink()
    assert textmill("run", *WORDS, folder=disk).returncode == 0
    assert outcome(root) == done[1]


def test_a_root_that_can_only_be_read_is_refused_by_what_writes_and_shown_by_what_reads(disk, done):
    root = disk / "root"
    shutil.copytree(done[0] / "root", root, dirs_exist_ok=True)
    remount(disk, "ro")
    search = ["search", *WORDS, "--set", "factors.min_words=[1, 2]"]
    for words in (["run", *WORDS], ["report", *WORDS], search, ["plan", *WORDS, "--pilot"]):
        said = textmill(*words, folder=disk)
        assert said.returncode == 2, said.stderr
        assert f"error: The root {root} is read-only: have it mounted" in said.stderr
        assert "runs in this process" not in said.stderr
    reading = (["plan", *WORDS], ["status", *WORDS, "--verify"], ["clean", *WORDS[1:]])
    for words, shown in zip(reading, ("2 made", "runs: 2 made", "0 files"), strict=True):
        said = textmill(*words, folder=disk)
        assert said.returncode == 0, said.stderr
        assert shown in said.stdout


def test_a_clock_that_was_set_back_or_ahead_changes_nothing_that_is_decided(tmp_path, done):
    """The files bear times of other clocks; a part of the study is still to be made."""
    folder = tmp_path / "copy"
    shutil.copytree(done[0], folder, symlinks=True)
    root = folder / "root"
    for path in [*root.glob("runs/*"), *root.glob("pools/*/rows/*000000016-*")]:
        path.unlink()
    for at, path in enumerate(sorted(root.rglob("*"))):
        when = time.time() + (-1) ** at * 20 * 365 * 86_400
        os.utime(path, (when, when))
    before = snapshot(root, ["gold", "pools"])
    removed = textmill("clean", "--root", "root", "--yes", "--older-than", "0", folder=folder)
    assert removed.stdout.startswith("Removed 0 files"), removed.stdout
    told = textmill("plan", *WORDS, folder=folder).stdout
    assert "2 missing" in told
    went_on = textmill("run", *WORDS, folder=folder)
    assert went_on.returncode == 0, went_on.stderr
    after = snapshot(root, ["gold", "pools"])
    assert {path: after[path] for path in before} == before
    assert outcome(root) == done[1]


@pytest.mark.long
def test_a_clock_that_jumps_back_while_a_command_works_changes_nothing(
    tmp_path, model, done, monkeypatch
):
    folder, now = toy(tmp_path, model), time.time
    began = now()

    def jumping():
        """Return the time; from a second after its start on, that of the day before."""
        return now() - (86_400 if now() > began + 1 else 0)

    monkeypatch.setattr(time, "time", jumping)
    made = textmill("run", *WORDS, folder=folder)
    assert made.returncode == 0, made.stderr
    assert outcome(folder / "root") == done[1]


def test_clean_says_of_what_bears_a_time_to_come_that_its_age_is_not_known(tmp_path):
    store = Store.open(str(tmp_path / "root"))
    for name in ("old", "new", "ahead"):
        store.commit_document(f"runs/{name}.json", {"kind": "run"})
    hours = {"old": -5, "new": 0, "ahead": 5}
    for name, shift in hours.items():
        when = time.time() + 3600 * shift
        os.utime(tmp_path / "root" / "runs" / f"{name}.json", (when, when))
    said = textmill("clean", "--root", "root", "--yes", folder=tmp_path).stdout
    assert "5.0 h  runs/old.json" in said
    assert "Removed 1 files" in said
    assert "1 more bear a time that is still to come" in said
    assert "1 more were written in the last 1 h and left alone" in said
    assert store.names("runs") == ["ahead.json", "new.json"]
    textmill("clean", "--root", "root", "--yes", "--older-than", "0", folder=tmp_path)
    assert store.names("runs") == []
