"""Large libraries are loaded by what uses them, and not by what only plans."""

import subprocess
import sys

from command import environment


def test_a_plan_does_without_the_library():
    code = "import sys, engine.generate.engines.openai_engine; assert 'openai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)
