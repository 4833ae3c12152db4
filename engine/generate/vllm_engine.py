"""vLLM's engine in this process's charge: a thread steps it, and any thread may ask it."""

import itertools
import json
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from engine.errors import ConfigError, EngineLostError, ModelError
from engine.generate.chat import chat_model, chat_tokens
from engine.generate.engine import Completion, Prompt, Setup
from engine.generate.output import Transcript
from engine.models import Model
from engine.study.config import GenerateConfig, Resources, Structured
from engine.tasks.task import Task

SAMPLING = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "min_tokens",
        "max_tokens",
        "stop",
        "structured",
        "adapter",
    }
)
ELSEWHERE = {  # arguments of vLLM's that a study says in another place
    "model": "generate.model",
    "revision": "generate.revision",
    "tensor_parallel_size": "resources.tensor_parallel",
    "pipeline_parallel_size": "resources.pipeline_parallel",
    "max_num_seqs": "resources.max_num_seqs",
    "gpu_memory_utilization": "resources.memory_share",
    "enable_lora": "generate.adapter",
    "hf_token": "the environment variable HF_TOKEN, since a study file is no place for a secret",
}
QUIET = {  # says nothing, and tells nobody
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CONFIGURE_LOGGING": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
CPU_CACHE_BYTES = 2**30  # of keys and values: 16,000 tokens of a model of 1B parameters
LOOK_S = 1.0  # between two looks whether the engine still moves
REMEDIES = {
    "memory": "Give an engine more memory (resources.memory_share), split the model over more GPUs "
    "(resources.tensor_parallel), or ask for less: generate.engine_args.max_model_len, "
    "resources.max_num_seqs, a smaller model or a quantised one.",
    "": "Ray's logs of the engine's process say more.",
}


class VllmEngine:
    """Answers prompts with vLLM, as many at a time as it has room for, whatever call they are of.

    Each row has a seed of its own, from its identity. vLLM's arithmetic still depends on what is
    in a batch; in float32 on a CPU that has not been seen to change a text.
    """

    starts_with: ClassVar[frozenset[str]] = frozenset({"model", "revision", "engine_args"})
    reads: ClassVar[frozenset[str]] = starts_with | SAMPLING
    asks: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True
    is_concurrent: ClassVar[bool] = True

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> Model:
        """Find the model; vLLM itself checks its arguments when it starts."""
        for name in config.engine_args:
            if name in ELSEWHERE:
                raise ConfigError(
                    f"generate.engine_args.{name} is not for here: say {ELSEWHERE[name]}."
                )
        if not isinstance(config.engine_args.get("chat_template_kwargs", {}), dict):
            raise ConfigError("generate.engine_args.chat_template_kwargs is no table.")
        is_dummy = config.engine_args.get("load_format") == "dummy"  # random weights, for speed
        return chat_model(task, config, needs_weights=not is_dummy)

    def __init__(self, setup: Setup) -> None:
        args = dict(setup.config.engine_args)
        self._template_args: dict[str, Any] = args.pop("chat_template_kwargs", {})
        self._adapters = {adapter.place: adapter for adapter in setup.adapters}
        self._patience_s = setup.resources.patience_s
        self._steps = _Steps(setup, args)
        self._context: int = self._steps.engine.model_config.max_model_len
        self._tokenizer: Any = self._steps.engine.get_tokenizer()
        self._tokenizing = threading.Lock()  # one tokenizer serves one thread at a time
        self._known = lru_cache(maxsize=4096)(self._tokens_of)  # many rows have the same prompt

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once; one that does not fit the model's context is refused."""
        answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        waiting: dict[str, tuple[Prompt, int]] = {}
        for prompt in prompts:
            tokens = self._known(prompt.text)
            room = self._context - len(tokens)
            if room < 1:
                error = f"its prompt has {len(tokens)} tokens; the model takes {self._context}"
                yield Completion(row=prompt.row, text="", prompt_tokens=len(tokens), error=error)
                continue
            config = prompt.pool.config
            params = sampling(config, prompt.row.draws("sampling").seed(), room)
            request = self._steps.submit(tokens, params, self._adapter(prompt), answers)
            waiting[request] = prompt, len(tokens)
        while waiting:
            answer = self._next(answers)
            prompt, count = waiting.pop(answer.request)
            yield _completion(prompt, count, answer)

    def close(self) -> None:
        """End vLLM's processes, and wait until they have ended."""
        self._steps.close()

    def _next(self, answers: "queue.SimpleQueue[_Answer]") -> "_Answer":
        while True:
            try:
                return answers.get(timeout=LOOK_S)
            except queue.Empty:
                self._steps.check(self._patience_s)

    def _tokens_of(self, text: str) -> tuple[int, ...]:
        with self._tokenizing:
            return tuple(chat_tokens(self._tokenizer, text, self._template_args))

    def _adapter(self, prompt: Prompt) -> Any:  # noqa: ANN401 - vLLM's LoRARequest
        if prompt.pool.adapter is None:
            return None
        place = prompt.pool.adapter.place
        return _lora_request(list(self._adapters).index(place) + 1, self._adapters[place])


class _Answer(NamedTuple):
    """What became of a request: vLLM's output, or why there is none."""

    request: str
    output: Any
    error: str = ""


class _Request(NamedTuple):
    name: str
    tokens: Sequence[int]
    params: Any
    adapter: Any
    answers: "queue.SimpleQueue[_Answer]"


class _Steps:
    """The thread that owns vLLM's engine: hands it requests, steps it, and hands back answers.

    So there is no border between calls: a row joins the batch when there is room for it. vLLM's own
    loop is asynchronous, which costs a task for each row; its synchronous one ends when all rows
    that it was given do.

    Attributes:
        engine: vLLM's LLMEngine.
    """

    engine: Any

    def __init__(self, setup: Setup, args: Mapping[str, Any]) -> None:
        self._transcript = Transcript()
        self._inbox: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._names = map(str, itertools.count())
        self._naming = threading.Lock()
        self._asked: dict[str, queue.SimpleQueue[_Answer]] = {}
        self._moved = time.monotonic()  # when the engine last gave a sign of life
        self._death = ""
        started: Future[Any] = Future()
        self._thread = threading.Thread(target=self._run, args=(setup, args, started), daemon=True)
        self._thread.start()
        self.engine = started.result()

    def submit(
        self,
        tokens: Sequence[int],
        params: Any,  # noqa: ANN401 - vLLM's SamplingParams
        adapter: Any,  # noqa: ANN401 - vLLM's LoRARequest
        answers: "queue.SimpleQueue[_Answer]",
    ) -> str:
        """Ask for an answer, to be put into ``answers``; return the request's name."""
        with self._naming:
            name = next(self._names)
        self._inbox.put(_Request(name, tokens, params, adapter, answers))
        return name

    def check(self, patience_s: float) -> None:
        """Make sure that the engine lives and moves.

        Raises:
            EngineLostError: It does not.
        """
        if _core_is_dead(self.engine):
            self._thread.join(LOOK_S)  # it may know why
            cause = "its process was killed, perhaps for want of memory"
            raise EngineLostError(self._death or f"vLLM's engine died: {cause}. {_remedy(cause)}")
        if self._death:
            raise EngineLostError(self._death)
        if self._asked and time.monotonic() - self._moved > patience_s:
            raise EngineLostError(f"vLLM's engine gave no sign of life for {patience_s:g} s")

    def close(self) -> None:
        self._inbox.put(None)
        self._thread.join(timeout=10)
        self.engine.engine_core.shutdown()

    def _run(self, setup: Setup, args: Mapping[str, Any], started: Future[Any]) -> None:
        try:  # in the thread that steps it: how many threads it has is a thread's own setting
            engine = _started(setup, args, self._transcript)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            started.set_exception(error)
            return
        started.set_result(engine)
        self._step(engine)

    def _step(self, engine: Any) -> None:  # noqa: ANN401 - LLMEngine
        try:
            while self._take_requests(engine):
                for output in engine.step():
                    self._asked.pop(output.request_id).put(_Answer(output.request_id, output))
                self._moved = time.monotonic()
        except BaseException as error:  # noqa: BLE001 - told by the threads that wait for answers
            print(self._transcript.text, file=sys.stderr, flush=True)  # for Ray's logs
            cause = self._transcript.last_error() or f"{type(error).__name__}: {error}"
            self._death = f"vLLM's engine died: {cause}. {_remedy(cause)}"

    def _take_requests(self, engine: Any) -> bool:  # noqa: ANN401 - LLMEngine
        """Hand the engine what was submitted, waiting if it has nothing to do; False at the end."""
        while not self._inbox.empty() or not self._asked:
            request = self._inbox.get()
            if request is None:
                return False
            if not self._asked:
                self._moved = time.monotonic()
            self._add(engine, request)
        return True

    def _add(self, engine: Any, request: _Request) -> None:  # noqa: ANN401 - LLMEngine
        prompt = {"prompt_token_ids": list(request.tokens)}
        try:
            engine.add_request(request.name, prompt, request.params, lora_request=request.adapter)
        except Exception as error:
            if type(error).__name__ == "EngineDeadError":
                raise
            # of this request alone
            request.answers.put(_Answer(request.name, None, str(error)))
            return
        self._asked[request.name] = request.answers


def _core_is_dead(engine: Any) -> bool:  # noqa: ANN401 - LLMEngine
    """Say whether vLLM's process, if it has one of its own, has ended.

    vLLM 0.29 notes it, but does not wake who waits for its answer if it was killed.
    """
    resources = getattr(engine.engine_core, "resources", None)
    return bool(getattr(resources, "engine_dead", False))


def _completion(prompt: Prompt, prompt_tokens: int, answer: _Answer) -> Completion:
    if answer.error:
        return Completion(row=prompt.row, text="", prompt_tokens=prompt_tokens, error=answer.error)
    written = answer.output.outputs[0]
    if written.finish_reason not in ("stop", "length"):
        error = f"vLLM ended it: {written.finish_reason}"
        return Completion(row=prompt.row, text="", prompt_tokens=prompt_tokens, error=error)
    count = len(written.token_ids)
    has_mean = written.cumulative_logprob is not None and count
    return Completion(
        row=prompt.row,
        text=written.text,
        prompt_tokens=prompt_tokens,
        completion_tokens=count,
        finish_reason=written.finish_reason,
        mean_logprob=written.cumulative_logprob / count if has_mean else None,
        cached_tokens=answer.output.num_cached_tokens or 0,
    )


def prepare(where: Resources) -> None:
    """Set the environment that vLLM and its libraries read; before they are imported.

    On a CPU its engine runs in this process, not in two of its own: those start ten times as slowly
    and keep a core busy with waiting for each other.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not Path("/proc/driver/nvidia/version").exists():  # on GPUs vLLM chooses better itself
        os.environ["OMP_NUM_THREADS"] = str(_threads(where))  # Ray sets 1 for an actor of few CPUs
    from vllm.platforms import current_platform

    if current_platform.is_cpu() and not _is_split(where):
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def _threads(where: Resources) -> int:
    """Return the threads of an engine on a CPU; the cores are theirs while rows are made."""
    most = max(where.replicas) if isinstance(where.replicas, list) else where.replicas
    return max(math.ceil(where.engine_cpus), len(os.sched_getaffinity(0)) // most)


def _is_split(where: Resources) -> bool:
    return where.tensor_parallel * where.pipeline_parallel > 1


def sampling(config: GenerateConfig, seed: int, room: int) -> Any:  # noqa: ANN401 - SamplingParams
    """Return how vLLM is to draw one row.

    Args:
        config: The recipe.
        seed: The row's own.
        room: Tokens that the model's context leaves for the answer.
    """
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    limit = min(config.max_tokens, room)
    return SamplingParams(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        min_p=config.min_p,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        repetition_penalty=config.repetition_penalty,
        min_tokens=min(config.min_tokens, limit),
        max_tokens=limit,
        stop=config.stop,
        seed=seed,
        structured_outputs=_structured(config.structured),
        logprobs=0,  # those of the tokens that were drawn, and of no others
        flat_logprobs=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _structured(form: Structured | None) -> Any:  # noqa: ANN401 - vLLM's StructuredOutputsParams
    if form is None:
        return None
    from vllm.sampling_params import StructuredOutputsParams

    return StructuredOutputsParams(json=form.json_schema, regex=form.regex, choice=form.choice)


def _started(setup: Setup, args: Mapping[str, Any], transcript: Transcript) -> Any:  # noqa: ANN401 - LLMEngine
    """Start vLLM's engine.

    Raises:
        ConfigError: vLLM is not there, or does not take its arguments.
        EngineLostError: It does not start; the message says why, and what may help.
    """
    try:
        prepare(setup.resources)
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine
    except ImportError as error:
        raise ConfigError(
            f"generate.engine is 'vllm', which cannot be imported ({error}). Install it where "
            "engines run: pip install 'textmill[gpu]'; without a GPU, as the README says."
        ) from error
    try:
        config = EngineArgs(**arguments(setup, args)).create_engine_config()
    except TypeError as error:
        raise ConfigError(f"generate.engine_args: vLLM does not take them: {error}") from error
    except (ValueError, OSError) as error:  # pydantic's ValidationError is a ValueError
        raise ModelError(
            f"vLLM cannot run generate.model {setup.config.model!r} with these engine_args and "
            f"resources: {_first_lines(error)}"
        ) from error
    try:
        with transcript.taken_down():
            return LLMEngine.from_vllm_config(config, disable_log_stats=True)
    except Exception as error:
        print(transcript.text, file=sys.stderr, flush=True)  # for Ray's logs
        cause = transcript.last_error() or str(error)
        raise EngineLostError(f"vLLM's engine did not start: {cause}. {_remedy(cause)}") from error


def _remedy(cause: str) -> str:
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
    where = setup.resources
    given: dict[str, Any] = {
        "model": setup.model.place,
        "tokenizer_revision": setup.model.revision,
        "revision": setup.model.revision,
        "max_num_seqs": where.max_num_seqs,
        "tensor_parallel_size": where.tensor_parallel,
        "pipeline_parallel_size": where.pipeline_parallel,
        "generation_config": "vllm",  # not the model's own: it would fill in what no recipe says
    }
    if where.memory_share is not None:
        given["gpu_memory_utilization"] = where.memory_share
    if _is_split(where):
        given["distributed_executor_backend"] = "mp"  # all on the actor's node, in its charge
    if current_platform.is_cpu():
        if os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
            given["distributed_executor_backend"] = "uni"
        given["enforce_eager"] = True  # compiling for a CPU takes minutes
        # a prompt cut in two, with a seed, ends vLLM 0.29's engine: CPU generators cannot step back
        given["enable_chunked_prefill"] = False
        given["block_size"] = 32  # its default of 128 is longer than most prefixes that are shared
        if where.memory_share is None and "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
            given["kv_cache_memory_bytes"] = CPU_CACHE_BYTES
    if setup.adapters:
        ranks = [_rank(adapter) for adapter in setup.adapters]
        # vLLM 0.29 on a CPU gives rows without an adapter the last slot's: it is left empty
        slots = len(ranks) + current_platform.is_cpu()
        given |= {"enable_lora": True, "max_loras": slots, "max_lora_rank": max(ranks)}
    return {**given, **args}


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


def _lora_request(number: int, adapter: Model) -> Any:  # noqa: ANN401 - vLLM's LoRARequest
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.place, number, _local(adapter))


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
