"""What Ray, and what works beside it, are told through the environment.

Much of it is read when ``ray`` is imported, and the modules of work import it at their top. So it
is set before any of them is: by the command when it begins, and by ``engine.api.Study``.
"""

import os

PROCESSES = 8  # that a local Ray may start at a time, at least; it complains of four times as many
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process more; our runs keep no checkpoints
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # its default of 2 s is felt in small studies
    "RAY_task_events_report_interval_ms": "0",  # nobody asks for them, and they cost every process
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_worker_niceness": "0",  # its 15 lets an engine wait for whatever else runs
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # else each actor pool prints an error that is none
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",  # it would tell of each classifier's new head
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def set_up() -> None:
    """Set what is not set yet, for this process and those that it starts."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("RAY_ADDRESS"):
        # where Ray takes a machine for one that joins no cluster it listens on loopback alone
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if (os.cpu_count() or 1) < PROCESSES:  # a search has a process for each trial, which waits
            os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(PROCESSES))
