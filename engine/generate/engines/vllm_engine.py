"""vLLM's engine in this process's charge: a thread steps it, and any thread may ask it."""

import queue
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, ClassVar

from engine.errors import ConfigError
from engine.generate.engine import Completion, Prompt, Setup
from engine.generate.engines.chat import chat_model, chat_tokens
from engine.generate.engines.vllm_start import lora_request
from engine.generate.engines.vllm_steps import LOOK_S, Answer, Steps
from engine.models import Model
from engine.study.config import GenerateConfig, Structured
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
    runs_apart: ClassVar[bool] = True

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
        self._steps = Steps(setup, args)
        self._context: int = self._steps.engine.model_config.max_model_len
        self._tokenizer: Any = self._steps.engine.get_tokenizer()
        self._tokenizing = threading.Lock()  # one tokenizer serves one thread at a time
        self._known = lru_cache(maxsize=4096)(self._tokens_of)  # many rows have the same prompt

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once; one that does not fit the model's context is refused."""
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
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

    def _next(self, answers: "queue.SimpleQueue[Answer]") -> "Answer":
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
        return lora_request(list(self._adapters).index(place) + 1, self._adapters[place])


def _completion(prompt: Prompt, prompt_tokens: int, answer: Answer) -> Completion:
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
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _structured(form: Structured | None) -> Any:  # noqa: ANN401 - vLLM's StructuredOutputsParams
    if form is None:
        return None
    from vllm.sampling_params import StructuredOutputsParams

    return StructuredOutputsParams(json=form.json_schema, regex=form.regex, choice=form.choice)
