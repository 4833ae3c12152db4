"""Large libraries are loaded by what uses them, and not by what only plans."""

import json
import subprocess
import sys

import pytest
from command import environment
from done_study import WORDS, make_done
from toy_study import make_toy

# seconds each, of which a command has the use of few
HEAVY = {"datasets", "matplotlib", "pandas", "ray", "scipy", "sklearn", "statsmodels"}
HEAVY |= {"sentence_transformers", "torch", "transformers"}
COMMANDS = {
    "--help": ([], {"engine.api", "numpy", "pyarrow"}),
    "status": (WORDS, set()),
    "plan": (WORDS, set()),
    "run": (WORDS, set()),  # there is nothing to do
}
LOADED = """
import json, sys
try:
    from jobs.cli import main
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\n" + json.dumps(sorted(sys.modules)))
"""


def test_a_plan_does_without_the_library():
    code = "import sys, engine.generate.engines.openai_engine; assert 'openai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)


def test_ray_is_imported_by_nobody_before_it_is_told_how_to_be():
    """Its environment, and the token of a cluster, are read when it is imported."""
    code = (
        "import sys, jobs.cli, jobs.remote.submit, engine.api\n"
        "assert 'ray' not in sys.modules\n"
        "import os\n"
        "from engine.nodes import environment\n"
        "environment.set_up()\n"
        "told = {name: to for name, to in environment.QUIET.items() if name.startswith('RAY_')}\n"
        "assert {name: os.environ[name] for name in told} == told\n"
        "assert os.environ['RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER'] == '0'\n"
    )
    unset = {name: value for name, value in environment().items() if "RAY" not in name}
    unset = {name: value for name, value in unset.items() if not name.startswith(("HF_", "TOK"))}
    subprocess.run([sys.executable, "-c", code], env=unset, check=True)


LARGE = {"datasets", "ray", "torch", "transformers", "sentence_transformers", "openai", "vllm"}
SMALL_STUDY = """
name = "toy"
task = "task.toml"
[generate]
engine = "user_plugins:Slow"
[train]
trainer = "user_plugins:Guess"
[resources]
run_on = "here"
[factors]
quantity = [8]
"""


def test_a_study_that_needs_no_large_library_waits_for_none(tmp_path):
    (tmp_path / "any").mkdir()
    folder = make_toy(tmp_path, tmp_path / "any")
    (folder / "study.toml").write_text(SMALL_STUDY)
    modules = loaded(folder, "run", "study.toml")
    assert {"engine.nodes.here", "matplotlib", "pandas"} <= modules
    assert modules & LARGE == set()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study that is done, and its report."""
    toy = make_done(tmp_path_factory.mktemp("late"))
    loaded(toy, "run", *WORDS)
    return toy


def loaded(folder, *words):
    """Return the modules that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_nothing_heavy_that_it_does_not_use(done, command):
    words, more = COMMANDS[command]
    assert loaded(done, command, *words) & (HEAVY | more) == set()


def test_what_works_loads_what_it_needs_when_it_needs_it():
    code = "import json, sys, engine.pipeline; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, check=True
    )
    assert set(json.loads(done.stdout)) & HEAVY == set()


def test_sentences_are_embedded_without_the_library_for_all_models():
    code = (
        "import json, sys\n"
        "from engine.embeddings import load_encoder\n"
        "from engine.models import PACKAGED_ENCODER, resolve_model\n"
        "import engine.train.trainers.head\n"
        "load_encoder(resolve_model(PACKAGED_ENCODER, 'main', 'x'), 8).encode(['a text'])\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, check=True
    )
    assert set(json.loads(done.stdout)) & HEAVY == {"torch"}
