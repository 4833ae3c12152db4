"""Engines that know nothing of textmill, each in a process of its own: what it is measured by."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.queues import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from engine.errors import ConfigError
from engine.generate.engine import Setup
from engine.nodes.session import ray_session
from engine.study.resources import Resources

Answer = TypeVar("Answer")
WARM_UP = 96  # rows before the clock runs
SETTINGS = ((64, 8, False), (128, 16, True))  # see Setting


class Asked(NamedTuple):
    """A prompt, for an engine that knows nothing of textmill.

    Attributes:
        text: What the user says.
        templated: The same as the model's chat template puts it.
        seed: The row's.
        tokens: How long the answer is to be.
    """

    text: str
    templated: str
    seed: int
    tokens: int


class Setting(NamedTuple):
    """How Ray's processor is set up.

    Attributes:
        batch: Rows in a batch.
        at_a_time: Batches at a time.
        is_ours: Whether vLLM runs as textmill runs it on a CPU, and not as it comes.
    """

    batch: int
    at_a_time: int
    is_ours: bool


class Timing(NamedTuple):
    """What one engine took.

    Attributes:
        start_s: Seconds until it was ready.
        seconds: From the first row in to the last row out, for each repetition.
    """

    start_s: float
    seconds: list[float]


def elsewhere(measure: Callable[..., Answer], *args: object) -> Answer:
    """Measure in a process of its own, whose memory is free when it ends."""
    context = multiprocessing.get_context("spawn")
    answers: SimpleQueue[Answer] = context.SimpleQueue()
    process = context.Process(target=_send, args=(answers, measure, args))
    process.start()
    process.join()
    if process.exitcode:
        raise ConfigError(f"{measure.__name__.strip('_')} ended with {process.exitcode}; see above")
    return answers.get()


def _send(
    answers: "SimpleQueue[Answer]", measure: Callable[..., Answer], args: Sequence[Any]
) -> None:
    answers.put(measure(*args))


def _sampled(setup: Setup, asked: Sequence[Asked], *, is_plain: bool) -> list[Any]:
    from engine.generate.engines.vllm_engine import sampling

    params = [
        sampling(
            setup.config.model_copy(
                update={"min_tokens": prompt.tokens, "max_tokens": prompt.tokens}
            ),
            prompt.seed,
            prompt.tokens,
        )
        for prompt in asked
    ]
    for row in params:
        row.flat_logprobs = True  # the faster of vLLM's two forms
        if is_plain:
            row.seed = row.logprobs = None
    return params


def _prepared(resources: Resources, setup: Setup, *, is_ours: bool) -> dict[str, Any]:
    """Return vLLM's arguments, with the environment set up as textmill has it, or as it comes."""
    from engine.generate.engines.vllm_start import arguments, prepare

    if not is_ours:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
    prepare(resources)
    if not is_ours:
        os.environ.pop("OMP_NUM_THREADS", None)  # set where there is no GPU
    return arguments(setup, setup.config.engine_args)


def bare(
    resources: Resources,
    setup: Setup,
    asked: Sequence[list[Asked]],
    is_ours: bool,
    is_plain: bool,
) -> Timing:
    """Measure ``vllm.LLM.generate`` on all prompts at once.

    Args:
        resources: Its resources.
        setup: What its arguments follow from.
        asked: The prompts of each round, of which the first is to warm up.
        is_ours: Whether vLLM runs as textmill runs it on a CPU, and not as it comes.
        is_plain: Whether its rows have no seeds and no log-probabilities.
    """
    engine_args = _prepared(resources, setup, is_ours=is_ours)
    began = time.monotonic()
    from vllm import LLM

    llm = LLM(**engine_args)
    start_s = time.monotonic() - began
    seconds = []
    for prompts in (asked[0][:WARM_UP], *asked[1:]):
        texts = [prompt.templated for prompt in prompts]
        params = _sampled(setup, prompts, is_plain=is_plain)
        began = time.monotonic()
        llm.generate(texts, params, use_tqdm=False)
        seconds.append(time.monotonic() - began)
    return Timing(start_s, seconds[1:])


def ray_data_llm(
    resources: Resources, setup: Setup, asked: Sequence[list[Asked]], setting: Setting
) -> Timing:
    """Measure Ray's own processor, set up as its documentation advises, with small CPU stages.

    Its engine starts with each execution, so rows that warm it up go first, and the clock runs
    from when the last of them is out: by then others are in, to its advantage.
    """
    engine_args = _prepared(resources, setup, is_ours=setting.is_ours)
    with ray_session():
        import ray.data

        from ray.data.llm import build_processor, vLLMEngineProcessorConfig  # isort: skip

        place = engine_args.pop("model")
        replicas = resources.replicas if isinstance(resources.replicas, int) else 1
        processor = build_processor(
            vLLMEngineProcessorConfig(
                model_source=place,
                engine_kwargs=engine_args,
                batch_size=setting.batch,
                max_concurrent_batches=setting.at_a_time,
                concurrency=(replicas, replicas),
                log_engine_metrics=False,
                chat_template_stage={"enabled": True, "num_cpus": 0.1},
                tokenize_stage=False,
                detokenize_stage=False,
                placement_group_config=None if gpu() else {"bundles": [{"CPU": 0.5}]},
            ),
            preprocess=_ray_row,
            postprocess=_stamped,
            preprocess_map_kwargs={"num_cpus": 0.1},
            postprocess_map_kwargs={"num_cpus": 0.1},
        )
        seconds, start_s = [], 0.0
        for prompts in asked[1:]:
            rows = [*asked[0][:WARM_UP], *prompts]
            items = [
                {"text": prompt.text, "seed": prompt.seed, "tokens": prompt.tokens}
                for prompt in rows
            ]
            began = time.time()
            blocks = max(1, len(items) // setting.batch)
            out = processor(ray.data.from_items(items, override_num_blocks=blocks)).take_all()
            times = sorted(row["finished"] for row in out)
            assert len(times) == len(items)
            start_s = times[0] - began
            seconds.append(times[-1] - times[WARM_UP - 1])
    return Timing(start_s, seconds)


def _ray_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": row["text"]}],
        "sampling_params": {
            "temperature": 1.0,
            "seed": row["seed"],
            "min_tokens": row["tokens"],
            "max_tokens": row["tokens"],
            "logprobs": 0,
        },
    }


def _stamped(row: dict[str, Any]) -> dict[str, Any]:
    return {"finished": time.time(), "tokens": row["num_generated_tokens"]}


def gpu() -> str | None:
    """Return the name of this machine's GPU."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
