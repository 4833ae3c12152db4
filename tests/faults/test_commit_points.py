"""The command is killed before and after every commit point: what it comes to is the same.

One root lives through all of it: every command goes on from where the one before was killed.
"""

from types import SimpleNamespace

import pyarrow as pa
import pytest
from forked import Command
from root_snapshot import final_trials, outcome, snapshot
from toy_study import make_toy

from engine.store.kinds import Kind
from engine.store.seal import open_table, seal_table
from engine.store.store import Store, is_leftover

LIMIT_S = 300  # of each command, beside whatever else the machine does
STUDY = """
name = "toy"
task = "task.toml"
repeats = 1
[generate]
engine = "user_plugins:Listing"
strategy = "topic"
topics = {write = 8}
[curate]
filters = ["duplicate"]
[train]
trainer = "user_plugins:Kept"
[diagnose]
model = "./model"
real = 10
[resources]
run_on = "here"
rows_per_call = 16
fleet = 1
keep_models = true
[factors]
quantity = [24, 64]
real = [0, 10]
"""
SEARCH = """
name = "toy"
task = "task.toml"
repeats = 1
[generate]
engine = "user_plugins:Slow"
[train]
trainer = "user_plugins:Kept"
[resources]
run_on = "here"
rows_per_call = 16
fleet = 1
[search]
rungs = [16, 32]
max_trials = 2
[factors]
real = [0, 10]
"""
RUN, REPORT, SEARCHING = (
    ["run", "study.toml"],
    ["report", "study.toml"],
    ["search", "search.toml"],
)
COMMANDS = {"run": RUN, "report": REPORT, "search": SEARCHING}
ELSEWHERE = {Kind.RECORDS}  # committed by the same lines as gold rows
# in the order in which a study comes to them: what is set aside or retired must be there before
ORDER = sorted(
    Kind, key=lambda kind: (kind.value.made_by == "search", kind in (Kind.ASIDE, Kind.STALE))
)
POINTS = [kind for kind in ORDER if kind not in ELSEWHERE]
FOR_EVER = ("gold", "pools", "topics", "views", "embeddings", "models", "runs", "diagnoses")


@pytest.fixture(scope="module")
def here(tmp_path_factory, tiny_model):
    """A folder with both studies, and what they come to undisturbed."""
    folder = make_toy(tmp_path_factory.mktemp("killed"), tiny_model)
    (folder / "study.toml").write_text(STUDY)
    (folder / "search.toml").write_text(SEARCH)
    (folder / "killing").mkdir()
    made = SimpleNamespace(folder=folder, killing=folder / "killing", original={})
    for words in (RUN, SEARCHING):
        assert command(made, words, "undisturbed") == 0, said(made)
    return made


def command(here, words, root="root"):
    """Do a command to its end, be it a violent one; return its status."""
    begun = Command(
        [*words, "--root", root], here.folder, here.folder / "log", killing=here.killing
    )
    return begun.wait(LIMIT_S)


def said(here):
    return (here.folder / "log").read_text()


def some(here, stage):
    """Return a committed segment of the rows that have labels."""
    found = sorted((here.folder / "root" / stage).glob("*/rows/*.parquet"))
    labelled = [path for path in found if path.name.startswith(("bad-", "good-"))]
    return next(path for path in labelled if not is_leftover(path.name))


def alter(here):
    """Put other rows into a segment, as an engine that does not repeat itself would make them."""
    path = some(here, "pools")
    here.original[path] = path.read_bytes()
    table, notes, _ = open_table(path.read_bytes(), path.name)
    texts = [text.replace("soup", "bread") for text in table["completion"].to_pylist()]
    at = table.schema.get_field_index("completion")
    path.write_bytes(seal_table(table.set_column(at, "completion", pa.array(texts)), notes))


def restore(here):
    for path, data in here.original.items():
        path.write_bytes(data)


def damage(here):
    path = some(here, "views")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# what befalls the root before a command is killed there
BEFORE = {
    (Kind.VIEW_ROWS, "before"): alter,
    (Kind.ASIDE, "before"): damage,
    (Kind.STALE, "before"): restore,
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_command_that_is_killed_there_changes_nothing_that_is_committed(here, point, moment):
    if befalls := BEFORE.get((point, moment)):
        befalls(here)
    seen = snapshot(here.folder / "root", FOR_EVER)
    (here.killing / "wanted").write_text(f"{point.name} {moment}")
    assert command(here, COMMANDS[point.value.made_by]) == -9, said(here)
    assert (here.killing / "done").exists()
    (here.killing / "done").unlink()
    now = snapshot(here.folder / "root", FOR_EVER)
    moved = {path for path in seen if path not in now}
    assert {path: now[path] for path in seen if path in now} == {
        path: data for path, data in seen.items() if path not in moved
    }
    assert len(moved) == (point in (Kind.ASIDE, Kind.STALE) and moment == "after")


def test_in_the_end_all_is_as_if_nothing_had_been(here):
    (here.killing / "wanted").unlink(missing_ok=True)
    for words in (RUN, SEARCHING):
        assert command(here, words) == 0, said(here)
    tables, results, runs = outcome(here.folder / "undisturbed")
    now_tables, now_results, now_runs = outcome(here.folder / "root")
    assert now_tables == tables
    assert now_results == results
    assert {name: now_runs[name] for name in runs} == runs  # others were made of altered rows
    trials = [final_trials(here.folder / root) for root in ("undisturbed", "root")]
    assert trials[0] == trials[1]
    store = Store.open(str(here.folder / "root"))
    assert command(here, ["clean", "--yes", "--older-than", "0"]) == 0, said(here)
    assert not [one.name for one in store.entries(".") if is_leftover(one.name)]
