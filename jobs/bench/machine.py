"""What a figure must be read with."""

import os
import platform
import resource
import sys
from importlib.metadata import version
from typing import Any


def peak_mib() -> float:
    """Return this process's peak resident memory, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def machine() -> dict[str, Any]:
    """Return what a figure must be read with: cores and versions."""
    versions = {name: version(name) for name in ("ray", "torch", "transformers", "pyarrow")}
    return {"cores": os.cpu_count(), "python": platform.python_version(), **versions}
