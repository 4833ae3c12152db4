"""Large libraries are loaded by what uses them, and not by what only plans."""

import subprocess
import sys

from command import environment


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
