"""What a study file may say of *what* is made.

The fields of ``[generate]``, ``[curate]``, ``[mix]`` and ``[train]`` can be factors, and enter the
fingerprints (``identity.py`` says which enters which). ``[baseline]`` says how the LLM itself is
asked, and ``[diagnose]`` how synthetic rows are looked at. What says where and how wide, and when
it is enough, stands in ``resources.py`` and enters none.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from engine.models import EMBEDDED, PACKAGED_ENCODER
from engine.tasks.source import RecordSource
from engine.tasks.toml_files import Lines, ModelName, Written

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
        constraints = [name for name in ("choice", "json_schema", "regex") if getattr(self, name)]
        if len(constraints) != 1:
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
        engine: What answers: "transformers", "vllm", "openai", "recorded", "verbatim", or
            "package.module:Name".
        strategy: How rows are asked for: "zero_shot", "topic", "one_shot", "few_shot", "template",
            or "package.module:Name".
        model: The LLM: a folder, a hub name, or "textmill-demo", the toy that comes with textmill.
        revision: Branch, tag or commit of a hub model.
        temperature: Flattens (above 1) or sharpens the distribution of the next token; 0 takes the
            likeliest.
        top_p: Tokens are drawn from the likeliest that together have this probability.
        top_k: Tokens are drawn from so many of the likeliest; 0 for all (``vllm``,
            ``transformers``).
        min_p: Tokens less likely than this share of the likeliest are not drawn (``vllm``).
        presence_penalty: Taken off the logits of tokens that the completion has already (``vllm``,
            ``openai``).
        frequency_penalty: The same, once for each time (``vllm``, ``openai``).
        repetition_penalty: Logits of tokens that prompt or completion have are divided by it, or
            multiplied if negative (``vllm``).
        min_tokens: Shortest completion, in tokens (``vllm``, ``transformers``).
        max_tokens: Longest completion, in tokens.
        stop: Texts at which a completion ends; they are left out of it.
        structured: The form that a completion is held to (``vllm``, ``openai``).
        adapter: A LoRA adapter of the model: a folder, or a hub name (``vllm``).
        engine_args: What the engine's library is told besides, such as ``{dtype = "float32"}``:
            ``transformers`` takes dtype, attn_implementation, trust_remote_code and
            chat_template_kwargs; ``vllm`` its engine arguments, such as dtype, max_model_len and
            quantization, and chat_template_kwargs; ``openai`` extra_body and logprobs.
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
        filters: "refusal", "length", "duplicate", "shot_copy", "gold_copy", "label_name", or
            "package.module:Name"; the first that refuses names the reason.
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
        trainer: "finetune"; "head", which is logistic regression on frozen sentence embeddings; or
            "package.module:Name". Of the fields below, ``head`` reads model, revision, max_length
            and inverse_regularisation alone.
        model: A folder, a hub name, or "all-MiniLM-L6-v2", the encoder that comes with textmill.
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


class DiagnoseConfig(Written):
    """How the rows of each view are looked at: how alike they are, and how like real ones.

    Attributes:
        real: Real rows that they are set beside: the first so many of the replicate's order, or all
            if there are fewer.
        model: The sentence encoder: a folder, a hub name, or "all-MiniLM-L6-v2", which comes with
            textmill.
        revision: Branch, tag or commit of a hub model.
        max_length: Longest text, in tokens; the rest is cut off.
    """

    real: int = Field(100, ge=0)
    model: ModelName = PACKAGED_ENCODER
    revision: str = "main"
    max_length: int = Field(128, ge=8)
