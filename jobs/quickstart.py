"""``textmill quickstart``: a whole study of a demo task, offline, in minutes."""

import shlex
from importlib.resources import files
from math import floor
from pathlib import Path

from joblib import cpu_count

STUDY = Path(str(files("jobs") / "studies" / "quickstart.toml"))
MOST_CPUS = 4  # more threads do not speed up so small a model
SPARED_CPUS = 0.25  # for what judges rows beside the engine
NEXT = """
What you saw is a toy: its generator knows the sentences of a small grammar, and its scores say
nothing about LLMs. The way is that of a real study:

  textmill tasks demo-reviews             the task: labels, splits, topics, prompts
  textmill plan {study}
  cp {study} my-study.toml
  textmill run my-study.toml              change the copy first: its name, task, model, factors

A real LLM is a folder or a hub name as generate.model; a task of your own is a file: see the
README.
"""


def overrides() -> list[str]:
    """Return what fits the study to this machine; none of it enters a result.

    The engine gets half of the cores. Workers train on real rows meanwhile, and share all cores
    afterwards: what they reserve is less than a core each, and their threads are one each.
    """
    cpus = min(MOST_CPUS, cpu_count())  # it knows of containers' quotas, as Ray does
    if cpus == 1:
        return ["resources.fleet=1", "resources.share=turns"]
    engine = cpus // 2
    workers = 2 if cpus < MOST_CPUS else 3  # each takes more than a gigabyte
    return [
        f"resources.engine_cpus={engine}",
        f"resources.fleet={workers}",
        f"resources.fleet_cpus={floor((cpus - engine - SPARED_CPUS) / workers * 1000) / 1000}",
        "resources.share=split",
    ]


def what_next() -> str:
    """Return what to do after the quickstart."""
    return NEXT.format(study=shlex.quote(str(STUDY)))
