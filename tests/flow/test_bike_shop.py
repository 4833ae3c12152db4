"""The example of plug-ins, jobs/studies/bike-shop, used as it stands."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from command import REPOSITORY, environment
from command import textmill_alone as textmill

from engine.api import (
    ConfigError,
    GenerateConfig,
    ModelError,
    PluginError,
    Resources,
    RowId,
    Setup,
    Store,
)
from engine.plan.plan import make_plan
from engine.study.load import load_study
from engine.tasks.task import load_task
from jobs.terminal import tasks as show_tasks

EXAMPLE = REPOSITORY / "jobs" / "studies" / "bike-shop"
PAGE = (EXAMPLE / "README.md").read_text(encoding="utf-8")
SPLITS = ("train", "validation", "test")
LESS = ["train.model=./model", "train.steps=4", "factors.quantity=[8, 24]"]
LESS += ["resources.fleet=1", "resources.run_on=here"]
TINY = [word for setting in LESS for word in ("--set", setting)]

# What it answers tells its call: of ten, the fourth has a web address, and the ninth fails.
OLLAMA = """#!{python} -SE
import pathlib, sys
calls = pathlib.Path(__file__).with_name("calls")
number = calls.stat().st_size if calls.exists() else 0
with calls.open("a") as file:
    file.write(".")
assert sys.argv[1:] == ["run", "qwen2.5:7b"], sys.argv
if number % 10 == 9:
    sys.exit("the model is gone")
kind = "complaint" if "a complaint:" in sys.stdin.read() else "question"
print(f"Message {{number}}, a {{kind}}.", "See www.example.org" if number % 10 == 4 else "")
"""


def block(language):
    """Return the one fenced block of the example's page that is in a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


def write_files(folder):
    """Copy the example into a folder that is there."""
    leave = shutil.ignore_patterns("__pycache__", "textmill-out")
    shutil.copytree(EXAMPLE, folder, ignore=leave, dirs_exist_ok=True)


def run(words, folder, *more):
    """Run a command line as a shell does in the folder, with this Python and this checkout."""
    first, *rest = shlex.split(words)
    given = dict([first.split("=", 1)]) if "=" in first else {}
    program, *arguments = rest if given else [first, *rest]
    assert program == "textmill"
    path = ":".join([*given.values(), str(REPOSITORY)])
    # the installed command does not look for modules where it runs; `python -m` would
    where = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
    return textmill(*arguments, *more, folder=folder, **where)


def table(folder, stage, name):
    """Return the rows of the one pool or view of a strategy."""
    (found,) = (folder / "textmill-out" / stage).glob(f"bike-shop-{name}-*")
    return pq.read_table(found / "rows").to_pylist()


def snapshot(folder):
    stages = ("pools", "views", "runs")
    paths = [one for stage in stages for one in (folder / "textmill-out" / stage).rglob("*.*")]
    return {path: path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_model):
    """A folder with the example, in which its command was run."""
    folder = tmp_path_factory.mktemp("own")
    write_files(folder)
    (folder / "model").symlink_to(tiny_model)
    (folder / "bin").mkdir()
    (folder / "bin" / "ollama").write_text(OLLAMA.format(python=sys.executable))
    (folder / "bin" / "ollama").chmod(0o755)
    command = block("bash").strip()
    outcome = run(command, folder, *TINY)
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    return folder, command, outcome


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A folder with the example, whose modules this Python finds."""
    write_files(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mine(copied):
    """The example's module, under no name that another test could find."""
    spec = importlib.util.spec_from_file_location("bike_shop_mine", copied / "mine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_to_import_what_plug_ins_may_import_loads_no_heavy_library():
    heavy = ("ray", "torch", "transformers", "vllm", "datasets", "sklearn", "scipy", "matplotlib")
    program = f"import sys, engine.api; print([one for one in {heavy} if one in sys.modules])"
    command = [sys.executable, "-c", program]
    outcome = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True
    )
    assert outcome.stdout == "[]\n"


def test_the_folder_has_one_of_each():
    names = {path.name for path in EXAMPLE.iterdir()} - {"__pycache__", "textmill-out"}
    rows = {f"{split}.jsonl" for split in SPLITS}
    assert names == {"README.md", "task.toml", "study.toml", "mine.py", *rows}
    for name in names - {"README.md"}:
        assert f"({name})" in PAGE or f"`{name}`" in PAGE


def test_its_rows_are_real_ones_all_different_and_balanced():
    rows = {
        split: [json.loads(line) for line in (EXAMPLE / f"{split}.jsonl").open(encoding="utf-8")]
        for split in SPLITS
    }
    texts = [row["text"] for split in SPLITS for row in rows[split]]
    assert len(texts) == len(set(texts))
    for split in SPLITS:
        labels = [row["label"] for row in rows[split]]
        assert labels.count("complaint") == labels.count("question") == len(labels) / 2 >= 6
    shown = [json.loads(line) for line in block("json").splitlines()]
    assert len(shown) == 2
    assert all(row in rows["train"] for row in shown)


def test_its_command_does_the_study(done):
    folder, _, outcome = done
    assert "12 of 12 runs are there" in outcome.stdout
    assert (folder / "textmill-out" / "studies" / "personas" / "report.html").is_file()


def test_its_strategy_draws_a_persona_for_each_row(done):
    rows = table(done[0], "pools", "Persona")
    drawn = [json.loads(row["attributes"])["persona"] for row in rows]
    given = load_study(done[0] / "study.toml").study.generate.attributes["persona"]
    assert set(drawn) == set(given)
    for row, persona in zip(rows, drawn, strict=True):
        assert f"a {row['slot']}:" in row["prompt"]
        assert f"Write as {persona} would." in row["prompt"]
    assert not any("Write as" in row["prompt"] for row in table(done[0], "pools", "zero_shot"))


def test_its_engine_has_the_answers_of_the_program_and_errors_in_place_of_others(done):
    rows = [row for name in ("Persona", "zero_shot") for row in table(done[0], "pools", name)]
    assert len(rows) == (done[0] / "bin" / "calls").stat().st_size
    failed = [row for row in rows if row["error"]]
    assert {row["error"] for row in failed} == {"exit status 1: the model is gone"}
    assert len(failed) == len(rows) // 10
    for row in rows:
        assert row["error"] or re.match(rf"Message \d+, a {row['slot']}\.", row["completion"])


@pytest.mark.parametrize("strategy", ["zero_shot", "Persona"])
def test_its_filter_refuses_the_rows_with_a_web_address_and_no_others(done, strategy):
    rows = table(done[0], "views", strategy)
    for row in rows:
        has_one = "www." in row["completion"]
        assert row["reason"] == ("error" if row["error"] else "web_address" if has_one else None)
    assert {row["reason"] for row in rows} == {None, "error", "web_address"}


def test_a_second_time_nothing_is_made(done):
    folder, command, _ = done
    before = snapshot(folder)
    again = run(command, folder, *TINY)
    assert (again.returncode, again.stderr) == (0, "")
    assert snapshot(folder) == before


def test_a_class_that_was_edited_keeps_its_rows_and_one_that_was_renamed_makes_others(done):
    folder, command, _ = done
    edited = (folder / "mine.py").read_text().replace("Write as", "Write like")
    (folder / "edited").mkdir()
    (folder / "edited" / "mine.py").write_text(f"{edited}\nclass Persona2(Persona): ...\n")
    wanted = 'factors.strategy=["mine:Persona", "mine:Persona2"]'
    ask = command.replace("PYTHONPATH=.", "PYTHONPATH=edited").replace(" run ", " plan ")
    plan = json.loads(run(ask, folder, *TINY, "--set", wanted, "--json").stdout)
    pools = [step for step in plan["steps"] if step["kind"] == "pool"]
    assert {step["place"].split("-")[2]: step["state"] for step in pools} == {
        "Persona": "made",
        "Persona2": "missing",
    }


def test_without_pythonpath_the_message_says_what_to_do(done):
    folder, command, _ = done
    outcome = run(command.replace("PYTHONPATH=. ", "").replace(" run ", " plan "), folder)
    assert outcome.returncode == 2
    assert "'mine:Program' needs the module 'mine'" in outcome.stderr
    assert "PYTHONPATH, here and on every worker" in outcome.stderr


WRONG = {
    "nothing is read": (
        '    reads = frozenset({"attributes"})',
        "    # nothing",
        "'{0}:Persona' is no strategy: it has no 'reads'",
    ),
    "what is read is no field": (
        '{"attributes"}',
        '{"atributes"}',
        "strategy '{0}:Persona' reads 'atributes', which is no field. Did you mean 'attributes'",
    ),
    "another name": (
        "class Persona:",
        "class Personas:",
        "strategy '{0}:Persona' was not found: {0} has no 'Persona'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_strategy_that_is_none_is_refused(copied, case):
    old, new, said = WRONG[case]
    name = f"wrong_{case.replace(' ', '_')}"
    text = (copied / "mine.py").read_text()
    assert old in text
    (copied / f"{name}.py").write_text(text.replace(old, new))
    file = load_study(copied / "study.toml", [f'factors.strategy=["{name}:Persona"]'])
    with pytest.raises(PluginError, match=re.escape(said.format(name))):
        make_plan(file)


def test_a_module_that_cannot_be_imported_keeps_its_own_error(copied):
    (copied / "broken_at_import.py").write_text("import re\nre.compilee('x')\n")
    file = load_study(copied / "study.toml", ['factors.strategy=["broken_at_import:Persona"]'])
    with pytest.raises(AttributeError, match="compilee"):
        make_plan(file)


def test_a_study_without_personas_or_a_program_is_refused(mine, copied):
    task = load_task("task.toml", copied)
    with pytest.raises(ConfigError, match=r"generate\.attributes\.persona"):
        mine.Persona(task, GenerateConfig(), [])
    with pytest.raises(ConfigError, match=r"generate\.engine_args"):
        mine.Program.model(task, GenerateConfig())
    config = GenerateConfig(engine_args={"command": ["no-such-program"]}, model="a-name")
    model = mine.Program.model(task, config)
    assert model.identity == "a-name"
    with pytest.raises(ConfigError, match="no program 'no-such-program'"):
        mine.Program(
            Setup(store=Store.open(str(copied)), config=config, resources=Resources(), model=model)
        )


def test_its_task_has_the_prompts_of_every_optional_wording(copied):
    shown = show_tasks.task("task.toml")
    for title in ("topic", "one_shot", "zero_shot, left to right", "rephrase", "topics = {write"):
        assert f"\n{title}" in shown
    assert "reasons to write to a bicycle shop" in shown


def test_the_same_row_has_the_same_prompt(mine, copied):
    task, personas = load_task("task.toml", copied), {"persona": ["A", "B", "C"]}
    rows = [RowId("p" * 64, "question", index) for index in range(30)]
    first, second = (mine.Persona(task, GenerateConfig(attributes=personas), []) for _ in range(2))
    assert [first.ask(row) for row in rows] == [second.ask(row) for row in rows[::-1]][::-1]


def test_a_model_that_is_a_file_counts_by_its_content(mine, copied):
    def identity(name):
        config = GenerateConfig(engine_args={"command": ["llama-cli"]}, model=str(copied / name))
        return mine.Program.model(None, config).identity

    for name, content in (("one.gguf", "a"), ("same.gguf", "a"), ("other.gguf", "b")):
        (copied / name).write_text(content)
    assert identity("one.gguf") == identity("same.gguf") != identity("other.gguf")
    with pytest.raises(ModelError, match="no such file"):
        identity("none.gguf")
