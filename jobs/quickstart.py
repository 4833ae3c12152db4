"""``textmill quickstart``: a whole study of a demo task, offline, in minutes."""

import shlex
from importlib.resources import files
from pathlib import Path

from joblib import cpu_count

STUDY = Path(str(files("jobs") / "studies" / "quickstart.toml"))
MOST_CPUS = 4  # more threads do not speed up so small a model
SPARED_CPUS = 0.5  # for the tasks that word prompts
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
    """Return what fits the study to this machine; none of it enters a result."""
    cpus = min(MOST_CPUS, cpu_count())  # it knows of containers' quotas, as Ray does
    share = max(cpus - SPARED_CPUS, SPARED_CPUS)
    workers = min(2, cpus)  # two of one thread each are faster than one of two
    return [
        f"resources.engine_cpus={share}",
        f"resources.fleet={workers}",
        f"resources.fleet_cpus={share / workers}",
    ]


def what_next() -> str:
    """Return what to do after the quickstart."""
    return NEXT.format(study=shlex.quote(str(STUDY)))
