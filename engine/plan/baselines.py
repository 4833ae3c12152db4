"""Baselines: the LLM itself as the classifier, zero-shot and after some labelled real rows.

Source: Li et al. 2024, arXiv:2407.12813, appendix D and table 4: the LLM is asked for the labels
of the test rows with k examples in the prompt, and the best k is what the trained classifiers are
set against. There the best was the best on the test rows; here it is chosen on validation.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.errors import ConfigError, InputError
from engine.evaluate.answer import named_label
from engine.evaluate.metric import scores
from engine.fingerprint import Plain, canonical, content_hash, digest
from engine.generate.baseline import Baseline
from engine.generate.engine import engine_class
from engine.generate.pool import Pool, shot_rows
from engine.models import resolve_adapter
from engine.segments import unbroken
from engine.store import Store
from engine.study.config import BaselineConfig, GenerateConfig, Structured
from engine.study.file import StudyFile
from engine.study.identity import baseline_fingerprint, baseline_reads
from engine.tasks.gold import Rows
from engine.tasks.task import Split, Task
from engine.train.run import SCORED

ASKED = ("model", "revision", "adapter", "engine", "engine_args")  # what tells LLMs apart


def plan_baselines(
    file: StudyFile, task: Task, pools: Iterable[Pool], gold: Mapping[Split, Rows]
) -> list[Baseline]:
    """Return a task's baselines: each number of shots of each LLM, in every replicate.

    Without shots a baseline draws nothing, and there is one for all replicates.

    Args:
        file: The study.
        task: The task.
        pools: Those of its recipes.
        gold: Its real rows, by split.

    Raises:
        InputError: There is no LLM to ask, or it cannot be asked this.
    """
    wanted = file.study.baseline
    if wanted is None:
        return []
    most, have = max(wanted.shots), gold["train"].table.num_rows
    if most > have:
        raise ConfigError(
            f"{file.where}: baseline.shots has {most}, but the train split has only {have} rows."
        )
    found: dict[str, Baseline] = {}
    for config in _asked(file, task, wanted, pools):
        for shots in wanted.shots:
            for replicate in range(file.study.replicates if shots else 1):
                one = _baseline(file.where, task, config, gold, shots, replicate)
                found.setdefault(one.fingerprint, one)
    return list(found.values())


def _asked(
    file: StudyFile, task: Task, wanted: BaselineConfig, pools: Iterable[Pool]
) -> Iterator[GenerateConfig]:
    """Yield how each LLM is asked, once."""
    own = [pool.config for pool in pools if pool.model and engine_class(pool.config.engine).asks]
    if not own and not (wanted.engine or wanted.model):
        raise ConfigError(
            f"{file.where}: [baseline] asks the LLM that writes a study's rows, but none of this "
            "study's recipes asks one. Say which to ask, with engine and model in [baseline], or "
            "take the section out."
        )
    labels = list(task.labels)
    asked = [_instead(wanted, config, labels) for config in own or [GenerateConfig()]]
    yield from {canonical(config.model_dump()): config for config in asked}.values()


def _instead(wanted: BaselineConfig, own: GenerateConfig, labels: list[str]) -> GenerateConfig:
    """Return how a recipe's LLM is asked for labels."""
    engine, model = wanted.engine or own.engine, wanted.model or own.model
    is_same = model == own.model
    engine_args = own.engine_args if engine == own.engine else {}
    is_held = wanted.constrained and "structured" in engine_class(engine).reads
    return GenerateConfig(
        engine=engine,
        model=model,
        revision=wanted.revision or (own.revision if is_same else "main"),
        adapter=own.adapter if is_same else None,
        engine_args=engine_args if wanted.engine_args is None else wanted.engine_args,
        temperature=0,
        max_tokens=wanted.max_tokens,
        structured=Structured(choice=labels) if is_held else None,
    )


def _baseline(  # noqa: PLR0913 - it is made of these
    where: str,
    task: Task,
    config: GenerateConfig,
    gold: Mapping[Split, Rows],
    shots: int,
    replicate: int,
) -> Baseline:
    engine = engine_class(config.engine)
    try:
        model = engine.model(task, config)
        has_adapter = config.adapter and "adapter" in engine.reads
        adapter = resolve_adapter(config.adapter) if config.adapter and has_adapter else None
    except InputError as error:  # which speaks of [generate]
        raise ConfigError(f"{where}, [baseline]: {error}") from error
    if model is None or not engine.asks:
        raise ConfigError(
            f"{where}: baseline.engine is {config.engine!r}, which asks no LLM; name one that "
            "does, such as 'vllm', 'openai' or 'transformers'."
        )
    inputs: dict[str, Plain] = {str(split): gold[split].content for split in SCORED}
    files = {str(split): gold[split].name for split in SCORED}
    inputs["model"] = model.identity
    if adapter:
        inputs["adapter"] = adapter.identity
    if shots:
        shown = shot_rows(gold["train"].table, replicate, shots)
        inputs["shots"] = content_hash([(row.label, row.text, row.text_pair) for row in shown])
        files["shots"] = gold["train"].name
    reads = baseline_reads(task, config, {"engine", *engine.reads}, shots, replicate)
    return Baseline(
        fingerprint=baseline_fingerprint(reads, inputs),
        label=f"{task.name}-llm-{shots}-shot",
        task=task,
        config=config,
        replicate=replicate,
        reads=reads,
        inputs=inputs,
        files=files,
        limits={str(split): gold[split].table.num_rows for split in SCORED},
        model=model,
        adapter=adapter,
        shots=shots,
    )


def baseline_names(baselines: Sequence[Baseline]) -> dict[str, str]:
    """Return what tells a study's baselines apart, by fingerprint: LLM, shots, replicate."""
    llms = llm_names(baselines)
    is_one = len(set(llms.values())) == 1
    has_draws = len({one.replicate for one in baselines}) > 1
    has_tasks = len({one.task.name for one in baselines}) > 1
    return {
        one.fingerprint: ", ".join(
            [
                *([one.task.name] if has_tasks else []),
                *([] if is_one else [llms[one.fingerprint]]),
                f"{one.shots} shot{'' if one.shots == 1 else 's'}",
                *([f"replicate {one.replicate}"] if has_draws and one.shots else []),
            ]
        )
        for one in baselines
    }


def llm_names(baselines: Sequence[Baseline]) -> dict[str, str]:
    """Return the LLM that each baseline asks, by fingerprint, with what tells it from the others.

    Models in folders are called by the folder's name alone: a report says nothing of its machine.
    """
    asked = {one.fingerprint: _identified(one) for one in baselines}
    varied = [name for name in ASKED if len({canonical(own[name]) for own in asked.values()}) > 1]
    names = {
        fingerprint: ", ".join(
            [
                str(own["model"] or own["engine"]),
                *(f"{name} {_brief(own[name])}" for name in varied if name != "model"),
            ]
        )
        for fingerprint, own in asked.items()
    }
    contents = {one.fingerprint: _content(one) for one in baselines}
    known = {(names[one], content) for one, content in contents.items()}
    shared = Counter(name for name, _ in known)
    return {
        one: f"{name} {contents[one][:6]}" if shared[name] > 1 else name
        for one, name in names.items()
    }


def _content(one: Baseline) -> str:
    """Return a digest of the model and adapter themselves: folders may be called alike."""
    return digest([one.inputs["model"], one.inputs.get("adapter")])


def _identified(one: Baseline) -> dict[str, Any]:
    """Return what an LLM is known by; what its engine does not read is None."""
    reads = {"engine", *engine_class(one.config.engine).reads}
    own: dict[str, Any] = {
        name: value if name in reads else None for name, value in one.config if name in ASKED
    }
    for name in ("model", "adapter"):
        if own[name] and Path(own[name]).is_absolute():
            own[name] = Path(own[name]).name
    return own


def _brief(value: Plain) -> str:
    return value if isinstance(value, str) else canonical(value).decode()


def baseline_results(
    baselines: Sequence[Baseline], gold: Mapping[str, Mapping[Split, Rows]], store: Store
) -> list[dict[str, Any]]:
    """Score the baselines' answers, as far as all rows of a split are there.

    An answer from which no label can be told (see ``named_label``), or none at all, counts as
    wrong, and is counted as unanswered.

    Returns:
        A row for each baseline and split: the columns of ``engine.report.baseline.COLUMNS``.

    Raises:
        DamagedError: A segment is damaged.
    """
    llms = llm_names(baselines)
    return [
        {
            "task": one.task.name,
            "llm": llms[one.fingerprint],
            "engine": one.config.engine,
            "constrained": one.config.structured is not None,
            "shots": one.shots,
            "replicate": one.replicate if one.shots else None,
            "split": split,
            **_scored(one, gold[one.task.name][split].table, answers),
            "pool": one.folder,
        }
        for one in baselines
        for split in SCORED
        if (answers := _answers(one, split, store)) is not None
    ]


def _answers(one: Baseline, split: Split, store: Store) -> pa.Table | None:
    """Return the answers for all rows of a split, in order; None if some are not there yet."""
    segments = unbroken(one.segments(store)[split])
    if not segments or segments[-1].stop < one.limits[split]:
        return None
    columns = ["completion", "prompt_tokens", "completion_tokens", "error"]
    return pa.concat_tables(
        store.columns(f"{one.folder}/{segment.name}", columns) for segment in segments
    )


def _scored(one: Baseline, gold: pa.Table, answers: pa.Table) -> dict[str, Any]:
    labels = list(one.task.labels)
    named = [named_label(answer, labels) for answer in answers["completion"].to_pylist()]
    errors = [error for error in answers["error"].to_pylist() if error]
    numbers = {label: number for number, label in enumerate(labels)}
    none_of_them = len(labels)
    own = scores(
        [numbers[label] for label in gold["label"].to_pylist()],
        [none_of_them if label is None else numbers[label] for label in named],
        len(labels),
    )
    return {
        "rows": len(named),
        "unanswered": sum(label is None for label in named),
        "errors": len(errors),
        "error": errors[0] if errors else None,
        "accuracy": own.accuracy,
        "macro_f1": own.macro_f1,
        "prompt_tokens": _total(answers["prompt_tokens"]),
        "completion_tokens": _total(answers["completion_tokens"]),
    }


def _total(counts: pa.ChunkedArray) -> int:
    return sum(count or 0 for count in counts.to_pylist())
