"""What a study file may say.

``[generate]``, ``[curate]``, ``[mix]`` and ``[train]`` say *what* is made: their fields can be
factors and enter the fingerprints (``identity.py`` says which enters which). ``[resources]`` says
where and how wide, and never enters one; neither do ``[quota]``, which says when to give up, and
``[budget]``, which says what generation may take. ``[baseline]`` says how the LLM itself is asked,
and ``[diagnose]`` how synthetic rows are looked at.
"""

import math
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from engine.models import EMBEDDED, PACKAGED_ENCODER
from engine.tasks.reading import Lines, ModelName, Written
from engine.tasks.source import RecordSource, Source
from engine.tasks.task import SPLITS, Split

Share = Annotated[float, Field(ge=0, le=1)]
LEAST_TEMPERATURE = 0.01  # below it, logits divided by it are no longer numbers


def _is_zero_or_large_enough(temperature: float) -> float:
    if 0 < temperature < LEAST_TEMPERATURE:
        raise ValueError(f"write 0, or {LEAST_TEMPERATURE} at least")
    return temperature


Count = Annotated[int, Field(ge=1)]
Temperature = Annotated[float, Field(ge=0, le=10), AfterValidator(_is_zero_or_large_enough)]


class Structured(Written):
    """The form that a completion is held to while it is written: one of these.

    Attributes:
        choice: The completion is one of these texts.
        json_schema: It is JSON of this schema.
        regex: It matches this regular expression.
    """

    choice: list[Annotated[str, Field(min_length=1)]] | None = None
    json_schema: dict[str, Any] | None = None
    regex: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Structured":
        given = [name for name in ("choice", "json_schema", "regex") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("give one of choice, json_schema and regex")
        return self


class WrittenTopics(Written):
    """Topics that the LLM itself lists before it writes rows.

    Attributes:
        write: How many different ones.
    """

    write: int = Field(ge=1, le=100_000)


def _kind_of_topics(value: Any) -> str:  # noqa: ANN401 - whatever stood in the file
    return "as-written" if isinstance(value, dict | WrittenTopics) else "as-given"


Topics = Annotated[
    Annotated[Lines, Tag("as-given")] | Annotated[WrittenTopics, Tag("as-written")],
    Discriminator(_kind_of_topics),
]


class GenerateConfig(Written):
    """How synthetic rows are made. A field that an engine or strategy does not read is null.

    Attributes:
        engine: A key of ENGINES, or "package.module:Name".
        strategy: A key of STRATEGIES, or "package.module:Name".
        model: The LLM: a folder, a hub name, or the toy that comes with textmill.
        revision: Branch, tag or commit of a hub model.
        temperature: Flattens (above 1) or sharpens the distribution of the next token; 0 takes the
            likeliest.
        top_p: Tokens are drawn from the likeliest that together have this probability.
        top_k: Tokens are drawn from so many of the likeliest; 0 for all.
        min_p: Tokens less likely than this share of the likeliest are not drawn.
        presence_penalty: Taken off the logits of tokens that the completion has already.
        frequency_penalty: The same, once for each time.
        repetition_penalty: Logits of tokens that prompt or completion have are divided by it, or
            multiplied if negative.
        min_tokens: Shortest completion, in tokens.
        max_tokens: Longest completion, in tokens.
        stop: Texts at which a completion ends; they are left out of it.
        structured: The form that a completion is held to.
        adapter: A LoRA adapter of the model: a folder, or a hub name.
        engine_args: What the engine's library is told besides, such as ``{dtype = "float32"}``.
        labelling: Who says what label a row has: the prompt, which asks for one of that label
            ("conditioned"), or the LLM, which writes it after the text ("left_to_right").
        rephrase: Whether each accepted row is written again, in other words, by the LLM that is not
            told its label; the first version is a pool of its own.
        topics: What rows can be about (``topic``): a list, a file of lines, or ``{write = 500}``,
            which has the LLM list so many; else the task's.
        shots: Real rows shown in each prompt (``few_shot``; ``one_shot`` shows one).
        shot_rows: How many real rows the shots are drawn from: the first so many of the
            replicate's order.
        templates: For each label, the texts that ``template`` fills in.
        attributes: For each slot of a template, the values drawn for it.
        records: Existing synthetic rows (``recorded``).
    """

    engine: str = "transformers"
    model: ModelName = EMBEDDED
    revision: str = "main"
    temperature: Temperature = 1.0
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: Share = 0
    presence_penalty: float = Field(0, ge=-2, le=2)
    frequency_penalty: float = Field(0, ge=-2, le=2)
    repetition_penalty: float = Field(1, gt=0, le=10)
    min_tokens: int = Field(0, ge=0)
    max_tokens: int = Field(256, ge=1)
    stop: list[Annotated[str, Field(min_length=1)]] = []
    structured: Structured | None = None
    adapter: ModelName | None = None
    engine_args: dict[str, Any] = {}
    strategy: str = "zero_shot"
    labelling: Literal["conditioned", "left_to_right"] = "conditioned"
    rephrase: bool = False
    topics: Topics | None = None
    shots: int = Field(3, ge=1, le=100)
    shot_rows: int = Field(100, ge=1)
    templates: dict[str, list[str]] | None = None
    attributes: dict[str, list[str]] = {}
    records: RecordSource | None = None

    @field_validator("attributes", "templates")
    @classmethod
    def _lists_are_filled(cls, lists: dict[str, list[str]] | None) -> dict[str, list[str]] | None:
        for name, values in (lists or {}).items():
            if not values:
                raise ValueError(f"{name!r} is an empty list")
        return lists

    @model_validator(mode="after")
    def _some_length_is_left(self) -> "GenerateConfig":
        if self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens is {self.min_tokens}, more than max_tokens")
        return self


class CurateConfig(Written):
    """Which rows are accepted.

    Attributes:
        filters: Keys of FILTERS or "package.module:Name"; the first that refuses names the reason.
        min_words: Shortest text, in words (``length``).
        max_words: Longest text, in words (``length``).
    """

    filters: list[str] = [
        "refusal",
        "length",
        "duplicate",
        "shot_copy",
        "gold_copy",
        "label_name",
    ]
    min_words: int = Field(2, ge=1)
    max_words: int = Field(400, ge=1)

    @model_validator(mode="after")
    def _some_length_is_left(self) -> "CurateConfig":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words is {self.min_words}, more than max_words")
        return self


class MixConfig(Written):
    """What a training set is made of.

    Attributes:
        quantity: Synthetic rows, all labels together; 0 trains on real rows only.
        real: Real rows, balanced over the labels.
        prior: Share of each label among the synthetic rows, as weights; balanced if empty.
    """

    quantity: int = Field(1000, ge=0)
    real: int = Field(0, ge=0)
    prior: dict[str, Annotated[float, Field(gt=0)]] = {}


class TrainConfig(Written):
    """How a classifier is trained. A field that a trainer does not read is null.

    Attributes:
        trainer: A key of TRAINERS, or "package.module:Name".
        model: A folder, a hub name, or the encoder that comes with textmill.
        revision: Branch, tag or commit of a hub model.
        steps: Optimiser steps; the same for every condition, whatever its rows.
        epochs: Passes over the training set, in place of ``steps``: more rows, more steps.
        batch_size: Rows per step.
        learning_rate: Peak of AdamW's learning rate.
        weight_decay: AdamW's decay of weight matrices.
        warmup: Share of the steps over which the learning rate rises; then it falls to 0.
        max_length: Longest input, in tokens; the rest is cut off.
        max_grad_norm: Gradients are scaled down to this norm.
        precision: Of the forward pass; "auto" is bfloat16 where the machine computes in it, else
            float32 (``finetune``; ``head`` computes in float32).
        label_smoothing: Share of a row's target that is spread over all labels (Szegedy et al.
            2016, arXiv:1512.00567, section 7).
        class_weights: What rows of a label count for in the loss: "none" for 1 each, "balanced" for
            the same say of each label, or a weight by label (1 where none is given).
        synthetic_weight: What a synthetic row counts for in the loss; a real one counts 1.
        evaluate_every: Steps between two looks at the loss on validation; the weights that did best
            are kept. If absent, the last ones are.
        patience: Looks in vain after which training ends; all steps are done if absent.
        lora_rank: Rank of LoRA adapters, which are trained in place of all weights (Hu et al. 2021,
            arXiv:2106.09685, section 4); 0 for none.
        lora_alpha: Their scale, times the rank.
        lora_dropout: Dropout before them.
        lora_targets: Names of the modules that get them, or PEFT's "all-linear".
        inverse_regularisation: scikit-learn's C: the larger, the less the weights of the head are
            held down (``head``).
    """

    trainer: str = "finetune"
    model: ModelName = PACKAGED_ENCODER
    revision: str = "main"
    steps: int = Field(200, ge=1)
    epochs: float | None = Field(None, gt=0)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(5e-5, gt=0, le=1)
    weight_decay: float = Field(0.01, ge=0)
    warmup: Share = 0.1
    max_length: int = Field(128, ge=8)
    max_grad_norm: float = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    synthetic_weight: float = Field(1.0, gt=0)
    evaluate_every: Count | None = None
    patience: Count | None = None
    lora_rank: int = Field(0, ge=0)
    lora_alpha: float = Field(16, gt=0)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    lora_targets: Annotated[list[str], Field(min_length=1)] | Literal["all-linear"] = "all-linear"
    inverse_regularisation: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _patience_has_looks(self) -> "TrainConfig":
        if self.patience is not None and self.evaluate_every is None:
            raise ValueError("patience counts looks at validation: give evaluate_every too")
        return self


def resolved_steps(config: TrainConfig, rows: int) -> TrainConfig:
    """Return a training recipe whose epochs over so many rows have become steps, rounded up."""
    if config.epochs is None:
        return config
    steps = math.ceil(config.epochs * rows / config.batch_size)
    return config.model_copy(update={"steps": max(1, steps), "epochs": None})


class Resources(Written):
    """Where and how wide. Never part of a fingerprint: changing it does not change the data.

    Attributes:
        replicas: Engine actors, each with its own copy of the model: so many, or ``[least, most]``
            as there is work for them.
        engine_cpus: CPUs that one engine actor reserves.
        engine_gpus: GPUs of one engine actor; if absent, where the cluster has any and the engine
            can use them, as many as its model is split over; else 0.
        tensor_parallel: GPUs that each layer of the model is split over (``vllm``).
        pipeline_parallel: Groups of such GPUs that its layers are dealt to (``vllm``).
        memory_share: Share of a GPU's memory that an engine takes (``vllm``); on a CPU, of the
            machine's.
        max_num_seqs: Prompts that an engine answers at a time, at most; fewer take less memory.
        rows_per_call: Rows handed to an engine at a time, at most; but a whole segment (of up to
            512 rows) at least.
        calls_in_flight: Calls that an engine works on at a time, if it can work on several.
        patience_s: Seconds that an engine may take to start, or give no sign of life, before it is
            replaced.
        endpoint: URL of an OpenAI-compatible server (``openai``); if absent the environment
            variable OPENAI_BASE_URL, or else OpenAI's own.
        api_key_env: Name of the environment variable that holds the key (``openai``).
        request_timeout_s: Seconds until an unanswered request is asked again (``openai``).
        requests_per_minute: Requests that all replicas together send, at most (``openai``).
        tokens_per_minute: Tokens of their prompts and completions, at most (``openai``).
        fleet: Training workers; if absent as many as fit, at most 8 on a node without GPUs.
        fleet_cpus: CPUs, and so threads, of one training worker.
        fleet_gpus: GPUs of one training worker, such as 0.25 where four runs fit one GPU; if
            absent, where the cluster has any, as many workers share one as a probe says.
        data_parallel: Workers that train each run together, each on its part of every batch.
        micro_batch: Rows of a batch that a worker computes at a time; their gradients are added up.
            The whole batch if absent; a run for which memory does not suffice is tried once more
            with a quarter.
        compile_models: Whether classifiers are compiled (``torch.compile``) before they are
            trained, which takes minutes and pays off for large ones.
        keep_models: Whether trained classifiers are kept, under ``models/`` of the root: those that
            are trained from then on.
        share: "turns" ends generation, and frees what it had, before training begins; "split"
            trains conditions whose rows are there while others are still made. If absent, "split"
            where both have accelerators of their own, or there are many cores.
    """

    replicas: Count | Annotated[list[Count], Field(min_length=2, max_length=2)] = 1
    engine_cpus: float = Field(0.5, gt=0)
    engine_gpus: float | None = Field(None, ge=0)
    tensor_parallel: int = Field(1, ge=1)
    pipeline_parallel: int = Field(1, ge=1)
    memory_share: float | None = Field(None, gt=0, le=1)
    max_num_seqs: int = Field(128, ge=1)
    rows_per_call: int = Field(256, ge=1)
    calls_in_flight: int = Field(8, ge=1)
    patience_s: float = Field(900, gt=0)
    endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "OPENAI_API_KEY"
    request_timeout_s: float = Field(120, gt=0)
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    fleet: int | None = Field(None, ge=1)
    fleet_cpus: float = Field(1, gt=0)
    fleet_gpus: float | None = Field(None, ge=0)
    data_parallel: int = Field(1, ge=1)
    micro_batch: Count | None = None
    compile_models: bool = False
    keep_models: bool = False
    share: Literal["turns", "split"] | None = None

    @field_validator("replicas")
    @classmethod
    def _least_is_not_most(cls, replicas: int | list[int]) -> int | list[int]:
        if isinstance(replicas, list) and replicas[0] > replicas[1]:
            raise ValueError("write [least, most]")
        return replicas


class Quota(Written):
    """How hard to try for the rows that were asked for.

    Attributes:
        attempts: Rows made for each row wanted, at most, before a label is given up as short.
        max_refused: Share of refused rows above which a recipe is given up as hopeless.
        judged_after: Rows of a label that are made before its share of refused rows counts.
    """

    attempts: float = Field(4, ge=1)
    max_refused: Share = 0.9
    judged_after: int = Field(64, ge=1)


class Budget(Written):
    """What generating a study's rows may take; what it took before counts.

    Attributes:
        max_tokens: Tokens of prompts and completions.
        max_hours: Engine hours: the time that engines are up, starts included, summed over them.
        max_cost: Money, in the unit of the prices.
        price_prompt: Price of a million prompt tokens.
        price_completion: Price of a million completion tokens.
        price_hour: Price of an engine hour.
    """

    max_tokens: int | None = Field(None, ge=0)
    max_hours: float | None = Field(None, ge=0)
    max_cost: float | None = Field(None, ge=0)
    price_prompt: float | None = Field(None, ge=0)
    price_completion: float | None = Field(None, ge=0)
    price_hour: float | None = Field(None, ge=0)

    @property
    def has_prices(self) -> bool:
        """Whether a cost can be told."""
        prices = (self.price_prompt, self.price_completion, self.price_hour)
        return any(price is not None for price in prices)

    @model_validator(mode="after")
    def _cost_has_prices(self) -> "Budget":
        if self.max_cost is not None and not self.has_prices:
            raise ValueError(
                "max_cost needs prices: price_prompt and price_completion (of a million tokens), "
                "or price_hour"
            )
        return self


class BaselineConfig(Written):
    """How the LLM itself is asked for the labels of the scored rows, at temperature 0.

    What is not given is that of the recipes: each distinct LLM among them is asked.

    Attributes:
        shots: How many labelled real rows each prompt shows; one baseline for each number.
        max_tokens: Longest answer, in tokens.
        constrained: Whether an answer is held to the labels, where the engine can do that.
        engine: Another engine than that of the recipes; it has ``engine_args`` of its own.
        model: Another model; it has a ``revision`` of its own, and no adapter.
        revision: Branch, tag or commit of a hub model.
        engine_args: What the engine's library is told besides.
    """

    shots: list[Annotated[int, Field(ge=0, le=100)]] = Field([0, 3], min_length=1)
    max_tokens: int = Field(32, ge=1)
    constrained: bool = True
    engine: str | None = None
    model: ModelName | None = None
    revision: str | None = None
    engine_args: dict[str, Any] | None = None

    @field_validator("shots")
    @classmethod
    def _shots_differ(cls, shots: list[int]) -> list[int]:
        if len(set(shots)) < len(shots):
            raise ValueError("a number is there twice")
        return shots


def _kind_of_splits(value: Any) -> str:  # noqa: ANN401 - whatever stood in the file
    keys = value if isinstance(value, dict) else {}
    is_by_task = bool(keys) and all(isinstance(one, dict) for one in keys.values())
    return "as-tasks" if is_by_task and not set(keys) & set(SPLITS) else "as-splits"


Splits = Annotated[
    Annotated[dict[Split, Source], Tag("as-splits")]
    | Annotated[dict[str, dict[Split, Source]], Tag("as-tasks")],
    Discriminator(_kind_of_splits),
]


def _listed(value: Any) -> Any:  # noqa: ANN401 - as above
    return [value] if isinstance(value, str) else value


class DiagnoseConfig(Written):
    """How the rows of each view are looked at: how alike they are, and how like real ones.

    Attributes:
        real: Real rows that they are set beside: the first so many of the replicate's order, or all
            if there are fewer.
        model: The sentence encoder: a folder, a hub name, or the one that comes with textmill.
        revision: Branch, tag or commit of a hub model.
        max_length: Longest text, in tokens; the rest is cut off.
    """

    real: int = Field(100, ge=0)
    model: ModelName = PACKAGED_ENCODER
    revision: str = "main"
    max_length: int = Field(128, ge=8)


class Study(Written):
    """One study: what varies, what is fixed, and how often each condition is repeated.

    Attributes:
        name: Names the folder of its results.
        task: A built-in task, or the path of a task file; or a list of them, which makes ``task`` a
            factor: every task has every cell of the grid, if it is not left out.
        splits: Places of the gold rows that replace the task's own; of several tasks, by name.
        repeats: Trainings of each condition, which differ in their seed.
        replicates: Independent draws of everything random in the data.
        diagnose: How synthetic rows are looked at; not at all if absent.
        factors: What varies: a field's name and its levels, or a name of the user's own and
            bundled levels.
        exclude: Cells of the grid to leave out: for each factor named, a level or a list of them.
        published: Published numbers that the report sets beside the study's own: a built-in file's
            name, such as "li2024", or the path of one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    task: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
    splits: Splits = {}
    repeats: int = Field(3, ge=1)
    replicates: int = Field(1, ge=1)
    generate: GenerateConfig = GenerateConfig()
    curate: CurateConfig = CurateConfig()
    mix: MixConfig = MixConfig()
    train: TrainConfig = TrainConfig()
    resources: Resources = Resources()
    quota: Quota = Quota()
    budget: Budget = Budget()
    baseline: BaselineConfig | None = None
    diagnose: DiagnoseConfig | None = None
    factors: dict[str, list[Any]] = {}
    exclude: list[dict[str, Any]] = []
    published: str | None = None

    @field_validator("task")
    @classmethod
    def _tasks_are_named(cls, task: list[str]) -> list[str]:
        if not all(re.search(r"\S", name) for name in task):
            raise ValueError("name a built-in task or a task file")
        return task

    @property
    def varied(self) -> list[str]:
        """The factors' names, ``task`` among them if there are several tasks."""
        return [*(["task"] if len(self.task) > 1 else []), *self.factors]


Section = Literal["generate", "curate", "mix", "train"]
SECTIONS: dict[Section, type[Written]] = {
    "generate": GenerateConfig,
    "curate": CurateConfig,
    "mix": MixConfig,
    "train": TrainConfig,
}
assert set(SECTIONS) == set(get_args(Section))
