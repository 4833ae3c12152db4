"""Any causal language model with a chat template, run by ``transformers``, on a GPU or a CPU."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.errors import ConfigError
from engine.fingerprint import canonical
from engine.generate.engine import Completion, Prompt, Setup
from engine.generate.engines.chat import chat_model
from engine.models import Model
from engine.plugins import did_you_mean
from engine.study.config import GenerateConfig
from engine.tasks.task import Task

DTYPES = ("auto", "float32", "bfloat16", "float16")
ENGINE_ARGS = ("attn_implementation", "chat_template_kwargs", "dtype", "trust_remote_code")
SAMPLING = frozenset({"temperature", "top_p", "top_k", "min_tokens", "max_tokens", "stop"})


@dataclass(frozen=True)
class _Asked:
    """A prompt in tokens, and how many tokens its answer may have."""

    prompt: Prompt
    tokens: Sequence[int]
    limit: int


class TransformersEngine:
    """Answers prompts in batches of like length.

    Each row is sampled with random numbers of its own, drawn from its identity: its answer does not
    depend on the rows beside it, but for rounding, which in float32 on a CPU has not been seen to
    matter. The model's own default sampling settings are not used.
    """

    starts_with: ClassVar[frozenset[str]] = frozenset({"model", "revision", "engine_args"})
    reads: ClassVar[frozenset[str]] = starts_with | SAMPLING
    asks: ClassVar[bool] = True
    is_concurrent: ClassVar[bool] = False
    uses_gpu: ClassVar[bool] = True

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> Model:
        """Find the model, and check what the library is told besides."""
        for name in config.engine_args:
            if name not in ENGINE_ARGS:
                hint = did_you_mean(name, ENGINE_ARGS)
                raise ConfigError(f"generate.engine_args: unknown argument {name!r}.{hint}")
        for name, kind in (("trust_remote_code", bool), ("chat_template_kwargs", dict)):
            value = config.engine_args.get(name, kind())
            if not isinstance(value, kind):
                raise ConfigError(
                    f"generate.engine_args.{name} is {value!r}; it is "
                    f"{'true or false' if kind is bool else 'a table'}."
                )
        dtype = config.engine_args.get("dtype", "auto")
        if dtype not in DTYPES:
            hint = did_you_mean(str(dtype), DTYPES)
            raise ConfigError(f"generate.engine_args.dtype is {dtype!r}.{hint}")
        return chat_model(task, config)

    def __init__(self, setup: Setup) -> None:
        import torch  # which a plan does without

        from engine.generate.engines.transformers_lm import CausalLM

        if setup.model is None:
            raise ValueError("this engine needs a model")
        resources = setup.resources
        threads = math.ceil(resources.engine_cpus)
        device = "cuda" if resources.engine_gpus != 0 and torch.cuda.is_available() else "cpu"
        self._lm = CausalLM(setup.model, setup.config.engine_args, device, threads)
        self._at_once = setup.resources.max_num_seqs

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once; one that does not fit the model's context is refused."""
        groups: dict[bytes, list[_Asked]] = {}
        for prompt in prompts:
            tokens, config = self._lm.tokens(prompt.text), prompt.pool.config
            room = self._lm.context - len(tokens)
            if room < 1:
                error = f"its prompt has {len(tokens)} tokens; the model takes {self._lm.context}"
                yield Completion(row=prompt.row, text="", prompt_tokens=len(tokens), error=error)
                continue
            alike = canonical(config.model_dump(include=set(SAMPLING)))
            asked = _Asked(prompt, tokens, min(config.max_tokens, room))
            groups.setdefault(alike, []).append(asked)
        for group in groups.values():
            for batch in self._batches(group):
                yield from self._answer(batch)

    def _batches(self, group: list[_Asked]) -> Iterator[list[_Asked]]:
        """Yield prompts of like length together, for little padding, within the model's context."""
        batch: list[_Asked] = []
        for asked in sorted(group, key=lambda asked: len(asked.tokens)):
            longest = max([asked.limit, *(other.limit for other in batch)])
            is_over = len(asked.tokens) + longest > self._lm.context
            if batch and (is_over or len(batch) == self._at_once):
                yield batch
                batch = []
            batch.append(asked)
        yield batch

    def _answer(self, batch: Sequence[_Asked]) -> Iterator[Completion]:
        """Answer a batch, rows as they end; all of it has the same sampling settings."""
        answers = self._lm.answers(
            [asked.tokens for asked in batch],
            [asked.limit for asked in batch],
            [asked.prompt.row.draws("sampling").seed() for asked in batch],
            batch[0].prompt.pool.config,
        )
        for place, answer in answers:
            asked = batch[place]
            if answer is None:
                error = "the model's probabilities were not numbers"
                yield Completion(row=asked.prompt.row, text="", error=error)
                continue
            yield Completion(
                row=asked.prompt.row,
                text=answer.text,
                prompt_tokens=len(asked.tokens),
                completion_tokens=answer.tokens,
                finish_reason="stop" if answer.has_ended else "length",
                mean_logprob=answer.mean_logprob,
            )

    def close(self) -> None:
        """Do nothing: what it holds ends with its process."""
