"""One Ray for a command: the cluster that RAY_ADDRESS names, or a quiet local one."""

import contextlib
import logging
import os
from collections.abc import Iterator

OBJECT_STORE_BYTES = 400_000_000  # of a local Ray: only prompts and reports pass through it
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # its default of 2 s is felt in small studies
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # else each actor pool prints an error that is none
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


@contextlib.contextmanager
def ray_session() -> Iterator[None]:
    """Lend the body a Ray; one that is already up is used and left up."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("ray.data", "ray.train", "ray._private.authentication"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import ray

    if ray.is_initialized():
        yield
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING, log_to_driver=False)
    else:
        ray.init(  # "local": a bare init would join whatever cluster this machine has seen
            address="local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    _quieten_data()
    try:
        yield
    finally:
        ray.shutdown()


def _quieten_data() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
