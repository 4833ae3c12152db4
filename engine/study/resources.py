"""What a study file may say of where and how wide it is done, and of when it is enough.

None of it enters a fingerprint: changing it does not change what is made.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from engine.study.config import Count, Share
from engine.tasks.toml_files import Written

Amount = Annotated[float, Field(gt=0)]


class Resources(Written):
    """Where and how wide. Never part of a fingerprint: changing it does not change the data.

    Attributes:
        run_on: "here" does all work in this process, and the processes that engines such as
            ``vllm`` and further training workers have; "ray" on Ray, which takes seconds to start
            and has room for several workers, GPUs and machines. "auto" is "ray" where RAY_ADDRESS
            names a cluster, where there is a GPU, where a field of this section wants it, and where
            8 CPUs or more share minutes of work; else "here". What it comes to is the same.
        replicas: Engine actors, each with its own copy of the model: so many, or ``[least, most]``
            as there is work for them.
        engine_cpus: CPUs that one engine actor reserves.
        engine_gpus: GPUs of one engine actor; if absent, where the cluster has any and the engine
            can use them, as many as its model is split over; else 0.
        engine_accelerator: Type of the GPUs that engines go to, as Ray calls it ("H100"); any if
            absent.
        engine_resources: Custom resources that one engine actor takes, by the names that the
            cluster's nodes were started with.
        tensor_parallel: GPUs that each layer of the model is split over (``vllm``).
        pipeline_parallel: Groups of such GPUs that its layers are dealt to (``vllm``).
        memory_share: Share of a GPU's memory that an engine takes (``vllm``); on a CPU, of the
            machine's. vLLM's own if absent.
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
        fleet_accelerator: Type of the GPUs that training workers go to.
        fleet_resources: Custom resources that one training worker takes.
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

    run_on: Literal["auto", "here", "ray"] = "auto"
    replicas: Count | Annotated[list[Count], Field(min_length=2, max_length=2)] = 1
    engine_cpus: float = Field(0.5, gt=0)
    engine_gpus: float | None = Field(None, ge=0)
    engine_accelerator: str | None = None
    engine_resources: dict[str, Amount] = {}
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
    fleet_accelerator: str | None = None
    fleet_resources: dict[str, Amount] = {}
    data_parallel: int = Field(1, ge=1)
    micro_batch: Count | None = None
    compile_models: bool = False
    keep_models: bool = False
    share: Literal["turns", "split"] | None = None

    @field_validator("engine_resources", "fleet_resources")
    @classmethod
    def _are_custom(cls, resources: dict[str, float]) -> dict[str, float]:
        for name, amount in resources.items():
            if name.upper() in ("CPU", "GPU", "MEMORY", "OBJECT_STORE_MEMORY"):
                raise ValueError(f"no {name} here: CPUs and GPUs have fields of their own")
            if amount > 1 and amount != int(amount):
                raise ValueError(f"{name} is {amount:g}: Ray takes fractions below 1 only")
        return resources

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
    """What generating a study's rows may take, counted over all commands of the study.

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


class Annotation(Written):
    """What it is to have a real row labelled, which synthetic rows are weighed against.

    Attributes:
        price_row: Price of a labelled row, in the unit of the prices in ``[budget]``.
        seconds_row: Seconds of an annotator's time that a row takes.
    """

    price_row: float | None = Field(None, gt=0)
    seconds_row: float | None = Field(None, gt=0)
