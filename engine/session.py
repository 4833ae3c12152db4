"""One Ray for a command: the cluster that RAY_ADDRESS names, or a quiet local one."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import ConfigError

OBJECT_STORE_BYTES = 400_000_000  # of a local Ray: only prompts and reports pass through it
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process more; our runs keep no checkpoints
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # its default of 2 s is felt in small studies
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # else each actor pool prints an error that is none
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


@contextlib.contextmanager
def ray_session() -> Iterator[None]:
    """Lend the body a Ray; one that is already up is used and left up."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("ray.train", "ray._private.authentication"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import ray

    if ray.is_initialized():
        yield
        return
    local: dict[str, Any] = {
        "address": "local",  # a bare init would join whatever cluster this machine has seen
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    with _stderr_without(b"logging.cc"):  # where Ray tells that it obeys RAY_BACKEND_LOG_LEVEL
        ray.init(
            logging_level=logging.WARNING,
            log_to_driver=False,
            **({} if os.environ.get("RAY_ADDRESS") else local),
        )
    _quieten_data()
    try:
        yield
    finally:
        ray.shutdown()


def how_many_fit(needs: Mapping[str, float], what: str, spared_cpus: float = 0) -> int:
    """Return how many times what is needed fits into the cluster, at least once.

    Ray would wait for ever for what does not fit.

    Args:
        needs: Amounts by resource, such as ``{"CPU": 1, "GPU": 0.5}``.
        what: The fields of ``[resources]`` that ask for it, for the message.
        spared_cpus: CPUs that must be left for other work beside it.

    Raises:
        ConfigError: It does not fit once.
    """
    import ray

    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    have = {**have, "CPU": have.get("CPU", 0) - spared_cpus}
    fit = min(int(have.get(name, 0) / amount) for name, amount in needs.items() if amount)
    if fit < 1:
        wanted, there = ({name: each.get(name, 0) for name in needs} for each in (needs, have))
        spared = f", {spared_cpus} CPUs set aside" if spared_cpus else ""
        raise ConfigError(f"{what} ask for {wanted}, but the cluster has {there} in all{spared}.")
    return fit


@contextlib.contextmanager
def _stderr_without(noise: bytes) -> Iterator[None]:
    """Hold back what the body's C++ code writes to stderr, and pass on the lines without noise."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            lines = [line for line in held if noise not in line]
            os.write(2, b"".join(lines))


def _quieten_data() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # its log file stays as talkative as it is
            handler.setLevel(logging.ERROR)
