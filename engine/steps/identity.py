"""Which fields enter which fingerprint (engine/README.md, "Identity"). Nothing else may enter one.

A VERSION is raised by hand when the code of its stage would make something else of the same fields.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from engine.fingerprint import Plain, fingerprint
from engine.study.config import CurateConfig, GenerateConfig, TrainConfig
from engine.tasks.task import Task

# by the kind of step, as recipes and results name it
VERSIONS = {"pool": 3, "baseline": 1, "topics": 1, "view": 3, "run": 3, "diagnosis": 1}
BEYOND = 8  # VERSIONs later than this textmill's that it recognises
BY_CONTENT = {"records", "model", "revision", "adapter"}  # they stand among the inputs
Reads = dict[str, Any]  # what a recipe file shows, and what its fingerprint is made of


def task_prompt_fields(task: Task, words: Collection[str] | None) -> Reads:
    """Return what a prompt can show of a task, and nothing of where its rows are.

    Args:
        task: The task as the call sees it.
        words: The fields of its wording that prompts are made of; None for an engine that reads no
            prompts, which sees labels and fields, and none of the wording.
    """
    seen: Reads = {"name": task.name, "fields": list(task.fields.items())}  # order counts
    if words is None:
        return {**seen, "labels": list(task.labels)}
    wording = task.wording.model_dump(include=set(words))
    return {**seen, "labels": _described(task), "wording": wording}


def _described(task: Task) -> list[list[str]]:
    return [[label, text] for label, text in task.labels.items()]  # order counts


def pool_reads(
    task: Task,
    config: GenerateConfig,
    fields: set[str],
    replicate: int,
    *,
    words: Collection[str] | None,
) -> Reads:
    """Return what a pool is made of.

    Args:
        task: The task as the pool's calls see it; only what prompts can show of it counts.
        config: The recipe.
        fields: The fields of ``config`` that its engine and strategy read. ``records``,
            ``model`` and ``adapter`` count by content, which stands among the inputs, not by place.
        replicate: Number of the draw, from 0.
        words: The fields of the task's wording that prompts are made of; None without prompts.
    """
    settings = config.model_dump(include=fields - BY_CONTENT)
    if "topics" in fields and not settings["topics"]:
        settings["topics"] = task.topics
    return {
        "task": task_prompt_fields(task, words),
        "generate": settings,
        "replicate": replicate,
    }


def topics_reads(
    task: Task, config: GenerateConfig, fields: set[str], count: int, replicate: int
) -> Reads:
    """Return what a list of topics is made of that an LLM writes.

    Args:
        task: The task; its prompt says of what kind the topics are, and nothing else.
        config: How the LLM is asked.
        fields: The fields of ``config`` that its engine reads; ``model`` and the like by content.
        count: How many topics are wanted.
        replicate: Number of the draw, from 0.
    """
    return {
        "kind": task.wording.topics,
        "count": count,
        "generate": config.model_dump(include=fields - BY_CONTENT),
        "replicate": replicate,
    }


def baseline_reads(
    task: Task, config: GenerateConfig, fields: set[str], shots: int, replicate: int
) -> Reads:
    """Return what a baseline's pool is made of: the LLM's answers when it is asked for labels.

    Args:
        task: The task; its prompts show fields and labels, and nothing of the wording of others.
        config: How it is asked.
        fields: The fields of ``config`` that its engine reads. ``model`` and ``adapter`` count by
            content, which stands among the inputs, as that of the rows does.
        shots: How many real rows a prompt shows.
        replicate: Number of the draw, from 0; without shots there is none.
    """
    return {
        "task": {"fields": task.fields, "labels": _described(task)},
        "baseline": config.model_dump(include=fields - BY_CONTENT),
        "shots": shots,
        "replicate": replicate if shots else None,
    }


def view_reads(task: Task, config: CurateConfig, fields: set[str]) -> Reads:
    """Return what a view is made of besides its pool and the gold rows it compares with.

    Args:
        task: The task.
        config: The curation recipe.
        fields: The fields of ``config`` that its filters read.
    """
    return {
        "labels": list(task.labels),
        "fields": list(task.fields.items()),
        "row": task.wording.row,  # says what an answer may call the label
        "label_name_leaks": task.label_name_leaks,
        "curate": config.model_dump(include={"filters"} | fields),
    }


class ResolvedTraining(NamedTuple):
    """A training recipe, and what is resolved of it.

    Attributes:
        config: The recipe; the model counts by content and precision as resolved.
        fields: The fields of ``config`` that its trainer reads; ``epochs`` have become steps.
        model: The model's identity, such as the hash of its files.
        precision: "float32", "bfloat16" or "float16".
    """

    config: TrainConfig
    fields: set[str]
    model: Plain
    precision: str


def run_reads(labels: list[str], training: ResolvedTraining, repeat: int | None) -> Reads:
    """Return what a run is made of besides its training set and the gold rows it is scored on.

    Args:
        labels: The task's labels in order: a label's number is its place.
        training: The recipe as resolved.
        repeat: Number of the training, from 0; None for a trainer that draws nothing.
    """
    counted = training.fields - {"model", "revision", "precision", "epochs"}
    settings = training.config.model_dump(include=counted)
    reads: Reads = {"labels": labels, "train": settings, "precision": training.precision}
    if "model" in training.fields:
        reads["model"] = training.model
    if repeat is not None:
        reads["repeat"] = repeat
    return reads


def diagnosis_reads(task: Task, model: Plain, max_length: int) -> Reads:
    """Return what a diagnosis is made of besides the rows that it looks at.

    Args:
        task: The task; what counts is which fields it has, and the set of its trivial words.
        model: The encoder's identity.
        max_length: Longest text, in tokens, that the encoder is given.
    """
    return {
        "fields": list(task.fields),
        "trivial_words": sorted({word.lower() for word in task.trivial_words}),
        "model": model,
        "max_length": max_length,
    }


def pool_fingerprint(reads: Reads, inputs: Mapping[str, Plain]) -> str:
    """Return a pool's identity; inputs are content hashes of shots' rows and records."""
    return fingerprint("pool", VERSIONS["pool"], reads, inputs)


def topics_fingerprint(reads: Reads, inputs: Mapping[str, Plain]) -> str:
    """Return the identity of a list of topics; its input is the model."""
    return fingerprint("topics", VERSIONS["topics"], reads, inputs)


def baseline_fingerprint(reads: Reads, inputs: Mapping[str, Plain]) -> str:
    """Return the identity of a baseline's pool; inputs are the model and the rows it is shown."""
    return fingerprint("baseline", VERSIONS["baseline"], reads, inputs)


def view_fingerprint(reads: Reads, inputs: Mapping[str, Plain]) -> str:
    """Return a view's identity; inputs are its pool and the gold splits it compares with."""
    return fingerprint("view", VERSIONS["view"], reads, inputs)


def run_fingerprint(reads: Reads, inputs: Mapping[str, Plain]) -> str:
    """Return a run's identity; inputs are the training set's and the scored splits' content."""
    return fingerprint("run", VERSIONS["run"], reads, inputs)


def diagnosis_fingerprint(reads: Reads, inputs: Mapping[str, Plain]) -> str:
    """Return a diagnosis' identity; inputs are the contents of the rows that it looks at."""
    return fingerprint("diagnosis", VERSIONS["diagnosis"], reads, inputs)


def version_of(body: Mapping[str, Any]) -> int | None:
    """Return the VERSION under which a recipe or a result was written; None if it cannot be told.

    It is not written down: it is the one with which what stands there has its fingerprint.
    """
    kind = str(body["kind"])
    current = VERSIONS[kind]
    candidates: list[int] = [current, *range(1, current), *range(current + 1, current + 1 + BEYOND)]
    for version in candidates:
        if fingerprint(kind, version, body["reads"], body["inputs"]) == body["fingerprint"]:
            return version
    return None
