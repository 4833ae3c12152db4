"""Baselines: the LLM itself as the classifier, zero-shot and after some labelled real rows.

Source: Li et al. 2024, arXiv:2407.12813, appendix D and table 4: the LLM is asked for the labels
of the test rows with k examples in the prompt, and the best k is what the trained classifiers are
set against. There the best was the best on the test rows; here it is chosen on validation.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from engine.errors import ConfigError, InputError
from engine.fingerprint import Plain, canonical, content_hash
from engine.generate.engine import engine_class
from engine.models import resolve_adapter
from engine.steps.baseline import Baseline
from engine.steps.identity import baseline_fingerprint, baseline_reads
from engine.steps.pool import Pool, shot_rows
from engine.steps.run import SCORED
from engine.study.config import BaselineConfig, GenerateConfig, Structured
from engine.study.study import StudyFile
from engine.tasks.gold import Rows
from engine.tasks.task import Split, Task


class _Asking(NamedTuple):
    """One way in which an LLM is asked for labels.

    Attributes:
        config: The LLM, and how it is called.
        shots: How many labelled real rows each prompt shows.
        replicate: Number of the draw of these, from 0.
    """

    config: GenerateConfig
    shots: int
    replicate: int


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
            f"{file.source}: baseline.shots has {most}, but the train split has only {have} rows."
        )
    baselines: dict[str, Baseline] = {}
    for config in _asked(file, task, wanted, pools):
        for shots in wanted.shots:
            for replicate in range(file.study.replicates if shots else 1):
                baseline = _baseline(file, task, gold, _Asking(config, shots, replicate))
                baselines.setdefault(baseline.fingerprint, baseline)
    return list(baselines.values())


def _asked(
    file: StudyFile, task: Task, wanted: BaselineConfig, pools: Iterable[Pool]
) -> Iterator[GenerateConfig]:
    """Yield how each LLM is asked, once."""
    configs = [
        pool.config for pool in pools if pool.model and engine_class(pool.config.engine).asks
    ]
    if not configs and not (wanted.engine or wanted.model):
        raise ConfigError(
            f"{file.source}: [baseline] asks the LLM that writes a study's rows, but none of this "
            "study's recipes asks one. Say which to ask, with engine and model in [baseline], or "
            "take the section out."
        )
    labels = list(task.labels)
    asked = [_labelling_config(wanted, config, labels) for config in configs or [GenerateConfig()]]
    yield from {canonical(config.model_dump()): config for config in asked}.values()


def _labelling_config(
    wanted: BaselineConfig, recipe: GenerateConfig, labels: list[str]
) -> GenerateConfig:
    """Return how a recipe's LLM is asked for labels."""
    engine, model = wanted.engine or recipe.engine, wanted.model or recipe.model
    is_same = model == recipe.model
    engine_args = recipe.engine_args if engine == recipe.engine else {}
    is_held = wanted.constrained and "structured" in engine_class(engine).reads
    return GenerateConfig(
        engine=engine,
        model=model,
        revision=wanted.revision or (recipe.revision if is_same else "main"),
        adapter=recipe.adapter if is_same else None,
        engine_args=engine_args if wanted.engine_args is None else wanted.engine_args,
        temperature=0,
        max_tokens=wanted.max_tokens,
        structured=Structured(choice=labels) if is_held else None,
    )


def _baseline(file: StudyFile, task: Task, gold: Mapping[Split, Rows], asking: _Asking) -> Baseline:
    config, shots, replicate = asking
    engine = engine_class(config.engine)
    try:
        model = engine.model(task, config)
        has_adapter = config.adapter and "adapter" in engine.reads
        adapter = resolve_adapter(config.adapter) if config.adapter and has_adapter else None
    except InputError as error:  # which speaks of [generate]
        raise ConfigError(f"{file.source}, [baseline]: {error}") from error
    if model is None or not engine.asks:
        raise ConfigError(
            f"{file.source}: baseline.engine is {config.engine!r}, which asks no LLM; name one "
            "that does, such as 'vllm', 'openai' or 'transformers'."
        )
    inputs: dict[str, Plain] = {str(split): gold[split].content for split in SCORED}
    files = {str(split): gold[split].name for split in SCORED}
    inputs["model"] = model.identity
    if adapter:
        inputs["adapter"] = adapter.identity
    if shots:  # without any, the prompts are the same under every replicate, and so is the pool
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
