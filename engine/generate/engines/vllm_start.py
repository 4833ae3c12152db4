"""How vLLM is started: its environment, its arguments, and what may help when it does not start."""

import json
import math
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, EngineLostError, ModelError
from engine.generate.engine import Setup
from engine.generate.engines.vllm_output import Transcript
from engine.models import Model
from engine.study.resources import Resources

QUIET = {  # says nothing, and tells nobody
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CONFIGURE_LOGGING": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
CPU_CACHE_BYTES = 2**30  # of keys and values: 16,000 tokens of a model of 1B parameters
REMEDIES = {
    "memory": "Give an engine more memory (resources.memory_share), split the model over more GPUs "
    "(resources.tensor_parallel), or ask for less: generate.engine_args.max_model_len, "
    "resources.max_num_seqs, a smaller model or a quantised one.",
    "": "Ray's logs of the engine's process say more.",
}


def prepare(resources: Resources) -> None:
    """Set the environment that vLLM and its libraries read; before they are imported.

    On a CPU its engine runs in this process, not in two of its own: those start ten times as slowly
    and keep a core busy with waiting for each other.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not Path("/proc/driver/nvidia/version").exists():  # on GPUs vLLM chooses better itself
        os.environ["OMP_NUM_THREADS"] = str(
            _threads(resources)
        )  # Ray sets 1 for an actor of few CPUs
    from vllm.platforms import current_platform

    if current_platform.is_cpu() and not _is_split(resources):
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def _threads(resources: Resources) -> int:
    """Return the threads of an engine on a CPU; the cores are theirs while rows are made."""
    most = max(resources.replicas) if isinstance(resources.replicas, list) else resources.replicas
    return max(math.ceil(resources.engine_cpus), len(os.sched_getaffinity(0)) // most)


def _is_split(resources: Resources) -> bool:
    return resources.tensor_parallel * resources.pipeline_parallel > 1


def start(setup: Setup, args: Mapping[str, Any], transcript: Transcript) -> Any:  # noqa: ANN401 - LLMEngine
    """Start vLLM's engine.

    Raises:
        ConfigError: vLLM is not there, or does not take its arguments.
        EngineLostError: It does not start; the message says why, and what may help.
    """
    try:
        prepare(setup.resources)
        from vllm.engine.arg_utils import EngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.llm_engine import LLMEngine
    except ImportError as error:
        raise ConfigError(
            f"generate.engine is 'vllm', which cannot be imported ({error}). Install it where "
            "engines run: pip install 'textmill[gpu]'; without a GPU, as engine/generate/README.md "
            "says."
        ) from error
    try:
        # as vLLM's own LLM class has it: its other defaults take fewer tokens at a time
        config = EngineArgs(**arguments(setup, args)).create_engine_config(UsageContext.LLM_CLASS)
    except TypeError as error:
        raise ConfigError(f"generate.engine_args: vLLM does not take them: {error}") from error
    except (ValueError, OSError) as error:  # pydantic's ValidationError is a ValueError
        raise ModelError(
            f"vLLM cannot run generate.model {setup.config.model!r} with these engine_args and "
            f"resources: {_first_lines(error)}"
        ) from error
    _draw_once()
    try:
        with transcript.taken_down():
            return LLMEngine.from_vllm_config(config, disable_log_stats=True)
    except Exception as error:
        print(transcript.text, file=sys.stderr, flush=True)  # for Ray's logs
        cause = transcript.last_error() or str(error)
        raise EngineLostError(f"vLLM's engine did not start: {cause}. {remedy(cause)}") from error


def _draw_once() -> None:
    """Have vLLM draw once for a row that has a seed.

    On a CPU, vLLM 0.29 first draws for the whole batch, and then again for each row with a seed, as
    all rows have here; elsewhere it spares itself the first, which changes no row.
    """
    from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler

    sampler: Any = TopKTopPSampler
    sampler.forward_cpu = sampler.forward_native


def remedy(cause: str) -> str:
    """Say what may help against a cause."""
    return next(text for word, text in REMEDIES.items() if word in cause.lower())


def arguments(setup: Setup, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return what vLLM is started with.

    Args:
        setup: What the engine is built from.
        args: What the study tells vLLM besides.
    """
    from vllm.platforms import current_platform

    if setup.model is None:
        raise ValueError("this engine needs a model")
    resources = setup.resources
    engine_args: dict[str, Any] = {
        "model": setup.model.place,
        "tokenizer_revision": setup.model.revision,
        "revision": setup.model.revision,
        "max_num_seqs": resources.max_num_seqs,
        "tensor_parallel_size": resources.tensor_parallel,
        "pipeline_parallel_size": resources.pipeline_parallel,
        "generation_config": "vllm",  # not the model's own: it would fill in what no recipe says
    }
    if resources.memory_share is not None:
        engine_args["gpu_memory_utilization"] = resources.memory_share
    if _is_split(resources):
        engine_args["distributed_executor_backend"] = "mp"  # all on the actor's node, in its charge
    if current_platform.is_cpu():
        if os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
            engine_args["distributed_executor_backend"] = "uni"
        engine_args["enforce_eager"] = True  # compiling for a CPU takes minutes
        # a prompt cut in two, with a seed, ends vLLM 0.29's engine: CPU generators cannot step back
        engine_args["enable_chunked_prefill"] = False
        # its default of 128 is longer than most prefixes that are shared
        engine_args["block_size"] = 32
        if resources.memory_share is None and "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
            engine_args["kv_cache_memory_bytes"] = CPU_CACHE_BYTES
    if setup.adapters:
        ranks = [_rank(adapter) for adapter in setup.adapters]
        # vLLM 0.29 on a CPU gives rows without an adapter the last slot's: it is left empty
        slots = len(ranks) + current_platform.is_cpu()
        engine_args |= {"enable_lora": True, "max_loras": slots, "max_lora_rank": max(ranks)}
    return {**engine_args, **args}


def _rank(adapter: Model) -> int:
    """Return an adapter's rank, rounded up to one that vLLM has kernels for."""
    file = Path(_local(adapter), "adapter_config.json")
    rank = int(json.loads(file.read_text(encoding="utf-8")).get("r", 8))
    return max(8, 1 << (rank - 1).bit_length())


@lru_cache
def _local(adapter: Model) -> str:
    """Return the folder of an adapter; one of the hub is fetched, once on each node."""
    if adapter.revision is None:
        return adapter.place
    from huggingface_hub import snapshot_download

    return snapshot_download(adapter.place, revision=adapter.revision)


def lora_request(number: int, adapter: Model) -> Any:  # noqa: ANN401 - vLLM's LoRARequest
    """Return an adapter as a request names it; its number is its own, from 1."""
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.place, number, _local(adapter))


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
