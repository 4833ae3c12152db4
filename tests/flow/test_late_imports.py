"""Large libraries are loaded by what uses them, and not by what only plans."""

import subprocess
import sys

from command import COMMAND, environment
from toy_study import make_toy


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


LARGE = {"ray", "torch", "transformers", "sentence_transformers", "tokenizers", "openai", "vllm"}
STUDY = """
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
    """From its plan to its report, in a process of its own as users run it."""
    model = tmp_path / "any"
    model.mkdir()
    folder = make_toy(tmp_path, model)
    (folder / "study.toml").write_text(STUDY)
    words = [sys.executable, "-X", "importtime", *COMMAND[1:], "run", "study.toml"]
    done = subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip() for line in lines}
    assert {"engine.pipeline", "engine.nodes.here", "pandas"} <= loaded
    assert not LARGE & loaded
