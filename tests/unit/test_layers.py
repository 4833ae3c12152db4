"""Data goes one way: a room imports only rooms that stand above it in engine/README.md.

The order of rooms stands there once, and is read here.
"""

import re
from pathlib import Path

import pytest
from import_graph import ROOT, imports, layers, modules, reached, room_graph

import engine
from engine.curate.filter import FILTERS
from engine.generate.engine import ENGINES
from engine.prompts.strategy import STRATEGIES
from engine.train.trainer import TRAINERS

README = (ROOT / "engine" / "README.md").read_text(encoding="utf-8")
MOST_BOXES, MOST_LAYERS = 30, 15
WITHOUT_RAY = ("plan", "status", "findings", "report")
HEAVY = ("ray", "torch", "transformers")
# what a study can name, where its plug-ins lie, and what of theirs lies beside them
PLUGINS = {
    "engine.prompts.strategies": STRATEGIES,
    "engine.generate.engines": ENGINES,
    "engine.curate.filters": FILTERS,
    "engine.train.trainers": TRAINERS,
}


def rooms(page):
    """Return the band of each file and folder of the engine, in the order of the layers."""
    table = page.split("<!-- rooms -->", 1)[1].split("<!-- /rooms -->", 1)[0]
    rows = re.findall(r"^\| (\w+) \| `([\w.]+)/?` \| \S.* \|$", table, re.MULTILINE)
    assert len(rows) == len(table.strip().splitlines()) - 2, "a row of the table is no room's"
    return {name.removesuffix(".py"): band for band, name in rows}


ROOMS = rooms(README)
ORDER = list(ROOMS)


def backward_imports(folder):
    """Return what imports against the flow below ``folder``, and what the flow does not list."""
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        importer = path.relative_to(folder).with_suffix("").parts[0]
        if importer == "__init__":
            continue
        if importer not in ORDER:
            wrong.append(f"{importer} is not in the flow")
            continue
        for name in imports(path, also_for_types=True):
            parts = name.split(".")
            if parts[0] == "jobs":
                wrong.append(f"{path.name} imports {name}")
            is_ours = parts[0] == "engine" and len(parts) > 1
            if is_ours and ORDER.index(parts[1]) > ORDER.index(importer):
                wrong.append(f"{path.relative_to(folder)} imports {name}")
    return wrong


def test_imports_follow_the_flow():
    assert backward_imports(ROOT / "engine") == []


def test_a_backward_import_is_caught(tmp_path):
    (tmp_path / "mix").mkdir()
    for line in (
        "from engine.train.trainers.loop import train",
        "from engine import train, store",
    ):
        (tmp_path / "mix" / "stage.py").write_text(line + "\n")
        assert backward_imports(tmp_path)[0].startswith("mix/stage.py imports engine.train")


def test_every_part_of_the_engine_stands_in_the_flow():
    parts = (path for path in (ROOT / "engine").iterdir() if not path.name.startswith("_"))
    assert sorted(path.stem for path in parts if path.suffix != ".md") == sorted(ORDER)


def test_the_bands_stand_in_order():
    assert list(dict.fromkeys(ROOMS.values())) == ["ground", "words", "work", "whole"]
    assert sorted(ROOMS.values(), key=list(ROOMS.values()).index) == list(ROOMS.values())
    assert ORDER[-1] == "api"


def test_no_room_of_work_imports_another():
    at_work = {f"engine.{name}" for name, band in ROOMS.items() if band == "work"}
    graph = room_graph()
    assert len(at_work) >= 4
    assert {name: graph[name] & at_work for name in at_work if graph[name] & at_work} == {}


def test_there_are_few_boxes_and_few_layers_and_no_circle(capsys):
    graph = room_graph()
    loose = {f"jobs.{path.stem}" for path in (ROOT / "jobs").glob("*.py")}
    layer = layers(graph)
    boxes = [name for name in graph if name not in loose]
    highest = max(layer[name] for name in boxes)
    with capsys.disabled():
        print(f"\n{len(boxes)} boxes, {highest} layers, no circle")
    assert len(boxes) <= MOST_BOXES
    assert highest <= MOST_LAYERS


def test_a_circle_is_caught():
    with pytest.raises(AssertionError, match="a circle: a -> b -> a"):
        layers({"a": {"b"}, "b": {"a"}})


def test_what_only_looks_needs_neither_ray_nor_torch():
    found_in = reached(WITHOUT_RAY)
    assert {"engine.status.survey", "engine.store.store"} <= set(found_in)
    heavy = {
        name: sorted({one.partition(".")[0] for one in imports(modules()[name])} & set(HEAVY))
        for name in found_in
    }
    assert {name: libraries for name, libraries in heavy.items() if libraries} == {}


@pytest.mark.parametrize("folder", PLUGINS)
def test_plug_ins_lie_in_their_folder(folder):
    targets = {target.partition(":")[0] for target in PLUGINS[folder].values()}
    assert {module.rpartition(".")[0] for module in targets} == {folder}
    beside = {name for name in modules() if name.startswith(f"{folder}.")} - targets
    used = {one for target in targets for one in imports(modules()[target])}
    further = {one for name in beside for one in imports(modules()[name])}
    assert beside <= used | further, "a file that is no plug-in, and of use to none"


def test_the_code_under_test_is_this_checkout():
    assert Path(engine.__file__).parent == ROOT / "engine"
