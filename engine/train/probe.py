"""How many workers may share a GPU: the runs that need most of it are rehearsed on one.

A rehearsal takes as long as a few small runs, so what it showed is kept on the node, in a folder
for temporary files: it is a machine's, and no study's, and who lost it measures anew.
"""

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import NoMemoryError, RunFailedError
from engine.fingerprint import Plain, digest
from engine.nodes.executor import Executor, Needs
from engine.steps.run import Run
from engine.store.store import Store
from engine.study.resources import Resources
from engine.train.run_worker import RunWorker
from engine.train.trainer import Hardware, training_fields

SPARED = 0.1  # share of a GPU's memory that is left free: what is measured is no upper bound
SIZELESS = frozenset({"steps", "epochs", "learning_rate"})  # fields that take no memory
MOST = 8  # workers on a GPU; more keep each other waiting


def workers_on_a_gpu(
    executor: Executor, store: Store, resources: Resources, runs: Sequence[Run]
) -> int:
    """Measure how many workers may share a GPU.

    Args:
        executor: What they run on.
        store: Where rows are read.
        resources: Workers' resources.
        runs: What they will do.
    """
    measuring = executor.tasks(_measured, Needs(resources.fleet_cpus, gpus=1, tries=1))
    measuring.begin(store, resources, heaviest(runs))
    (done,) = measuring.finished(None)
    if done.error:
        logging.getLogger(__name__).warning(
            "It could not be measured how many workers may share a GPU; each has one: %s",
            done.error,
        )
        return 1
    used, total = done.value
    return that_fit(used, total)


def heaviest(runs: Sequence[Run]) -> list[Run]:
    """Return the run of each model and trainer that computes most at a time."""
    by_model: dict[tuple[str, str, int], Run] = {}
    for run in sorted(runs, key=_tokens_at_a_time):
        by_model[run.config.trainer, run.model.place, run.config.lora_rank] = run
    return list(by_model.values())


def that_fit(used: int, total: int) -> int:
    """Return how many workers of ``used`` bytes fit into ``total`` bytes, at least one."""
    return max(1, min(MOST, int(total * (1 - SPARED) // max(1, used))))


def _tokens_at_a_time(run: Run) -> int:
    return run.config.batch_size * run.config.max_length


def _measured(store: Store, resources: Resources, runs: Sequence[Run]) -> tuple[int, int]:
    """Return the bytes of a GPU that are in use after these runs' heaviest steps, and all of them.

    What torch took it keeps, so that the end shows the peak; the process's own share is in it.
    """
    import torch

    total = torch.cuda.mem_get_info()[1]
    gpu: list[Plain] = [torch.cuda.get_device_name(), total, str(torch.__version__)]
    bench = RunWorker(store)
    heavy: list[Plain] = []
    for run in runs:
        with contextlib.suppress(RunFailedError):  # it has no rows
            heavy.append([*heaviness(run), bench.longest(run)])
    what = digest([gpu, resources.micro_batch, heavy])
    return kept(what, lambda: _rehearsed(bench, Hardware("cuda", resources.micro_batch), runs))


def _rehearsed(bench: RunWorker, how: Hardware, runs: Sequence[Run]) -> tuple[int, int]:
    import torch

    total = torch.cuda.mem_get_info()[1]
    for run in runs:
        try:
            bench.rehearse(run, how)
        except NoMemoryError:
            return total, total
        except RunFailedError:
            continue
    free, total = torch.cuda.mem_get_info()
    return total - free, total


def heaviness(run: Run) -> list[Plain]:
    """Return what of a run says how much memory it takes, beside how long its rows are."""
    sizes = sorted(training_fields(run.config) - SIZELESS)
    settings: list[Plain] = [[name, getattr(run.config, name)] for name in sizes]
    return [run.model.identity, run.precision, settings]


def kept(what: str, measure: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Return what was measured on this node before, or measure and keep it.

    Args:
        what: What is measured, and on what, as a digest.
        measure: Returns the bytes in use, and all of them.
    """
    folder = Path(tempfile.gettempdir()) / f"textmill-{os.getuid()}"
    path = folder / f"{what}.json"
    with contextlib.suppress(OSError, ValueError):  # not there, or not whole
        used, total = json.loads(path.read_text())
        if folder.stat().st_uid == os.getuid():  # anybody could have made the folder
            return int(used), int(total)
    measured = measure()
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
            json.dump(measured, file)
        Path(file.name).replace(path)
    return measured
