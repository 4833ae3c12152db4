"""Any causal language model with a chat template, run by ``transformers``, on a GPU or a CPU."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.errors import ConfigError
from engine.fingerprint import canonical
from engine.generate.chat import chat_model
from engine.generate.engine import Completion, Prompt, Setup
from engine.models import Model
from engine.plugins import did_you_mean
from engine.study.config import GenerateConfig
from engine.tasks.task import Task

ENGINE_ARGS = ("attn_implementation", "chat_template_kwargs", "dtype", "trust_remote_code")


@dataclass(frozen=True)
class _Asked:
    """A prompt in tokens, and how many tokens its answer may have."""

    prompt: Prompt
    tokens: Sequence[int]
    limit: int


class TransformersEngine:
    """Answers prompts in batches of like length, padded on the left.

    Each row is sampled with random numbers of its own, drawn from its identity: its answer does not
    depend on the rows beside it, but for rounding, which in float32 on a CPU has not been seen to
    matter. The model's own default sampling settings are not used.
    """

    reads: ClassVar[frozenset[str]] = frozenset(
        {
            *("model", "revision", "engine_args"),
            *("temperature", "top_p", "top_k", "max_tokens", "stop"),
        }
    )
    starts_with: ClassVar[frozenset[str]] = frozenset({"model", "revision", "engine_args"})
    asks: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> Model:
        """Find the model, and check what the library is told besides."""
        for name in config.engine_args:
            if name not in ENGINE_ARGS:
                hint = did_you_mean(name, ENGINE_ARGS)
                raise ConfigError(f"generate.engine_args: unknown argument {name!r}.{hint}")
        dtype = config.engine_args.get("dtype", "auto")
        if dtype != "auto" and not isinstance(getattr(torch, str(dtype), None), torch.dtype):
            raise ConfigError(
                f"generate.engine_args.dtype is {dtype!r}; known: auto, float32, bfloat16, float16."
            )
        return chat_model(task, config)

    def __init__(self, setup: Setup) -> None:
        if setup.model is None:
            raise ValueError("this engine needs a model")
        args = dict(setup.config.engine_args)
        self._template_args: Any = args.pop("chat_template_kwargs", {})
        self._at_once = setup.resources.max_num_seqs
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_num_threads(max(1, round(setup.resources.engine_cpus)))
        place, revision = setup.model.place, setup.model.revision or "main"
        trust = bool(args.get("trust_remote_code", False))
        self._tokenizer = AutoTokenizer.from_pretrained(
            place, revision=revision, trust_remote_code=trust
        )
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            place, revision=revision, **{"dtype": "auto", **args}
        )
        self._model.to(self._device)  # type: ignore[arg-type]
        self._model.requires_grad_(False)
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._context = _context(self._model, self._tokenizer)

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once; one that does not fit the model's context is refused."""
        groups: dict[bytes, list[_Asked]] = {}
        for prompt in prompts:
            tokens = self._tokens(prompt.text)
            room = self._context - len(tokens)
            if room < 1:
                error = f"its prompt has {len(tokens)} tokens; the model takes {self._context}"
                yield Completion(row=prompt.row, text="", prompt_tokens=len(tokens), error=error)
                continue
            config = prompt.pool.config
            asked = _Asked(prompt, tokens, min(config.max_tokens, room))
            groups.setdefault(_sampling(config), []).append(asked)
        for group in groups.values():
            group.sort(key=lambda asked: len(asked.tokens))
            for first in range(0, len(group), self._at_once):
                yield from self._answer(group[first : first + self._at_once])

    def _tokens(self, text: str) -> list[int]:
        asked = [{"role": "user", "content": text}]
        whole = self._tokenizer.apply_chat_template(
            asked, tokenize=False, add_generation_prompt=True, **self._template_args
        )
        tokens: list[int] = self._tokenizer(whole, add_special_tokens=False)["input_ids"]
        return tokens

    def _answer(self, batch: Sequence[_Asked]) -> Iterator[Completion]:
        """Answer a batch; all of it has the same sampling settings."""
        config = batch[0].prompt.pool.config
        width = max(len(asked.tokens) for asked in batch)
        pads = [width - len(asked.tokens) for asked in batch]
        ids = [[self._ends[0]] * pad + list(a.tokens) for pad, a in zip(pads, batch, strict=True)]
        mask = [[0] * pad + [1] * (width - pad) for pad in pads]
        limits = torch.tensor([asked.limit for asked in batch], device=self._device)
        stopping: list[StoppingCriteria] = [_Full(width, limits)]
        if config.stop:
            stopping.append(StopStringCriteria(self._tokenizer, config.stop))
        drawn = _Drawn(config, batch, self._device)
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=torch.tensor(ids, device=self._device),
                attention_mask=torch.tensor(mask, device=self._device),
                generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                    do_sample=False,  # the last processor leaves one token to choose
                    max_new_tokens=max(asked.limit for asked in batch),
                    eos_token_id=self._ends,
                    pad_token_id=self._ends[0],
                ),
                logits_processor=LogitsProcessorList([drawn]),
                stopping_criteria=StoppingCriteriaList(stopping),
            )
        logprobs = drawn.logprobs()
        for place, asked in enumerate(batch):
            yield self._completion(asked, made[place, width:].tolist(), logprobs[place])

    def _completion(
        self, asked: _Asked, tokens: list[int], logprobs: Sequence[float]
    ) -> Completion:
        stop = asked.prompt.pool.config.stop
        ended = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        count = asked.limit if ended is None else min(ended + 1, asked.limit)
        count = min(count, len(tokens))
        text = str(self._tokenizer.decode(tokens[:count], skip_special_tokens=True))
        found = [text.find(one) for one in stop if one in text]
        if found:
            text = text[: min(found)]
        return Completion(
            row=asked.prompt.row,
            text=text,
            prompt_tokens=len(asked.tokens),
            completion_tokens=count,
            finish_reason="stop" if found or (ended is not None and ended < count) else "length",
            mean_logprob=float(np.mean(logprobs[:count])),
        )


class _Drawn(LogitsProcessor):
    """Draws the next token of each row, and leaves it alone as possible.

    ``transformers`` would draw all rows from one generator, so that a row's text would depend on
    the batch that it is in.
    """

    def __init__(
        self, config: GenerateConfig, batch: Sequence[_Asked], device: torch.device
    ) -> None:
        self._warpers = LogitsProcessorList()
        self._is_greedy = config.temperature == 0
        if not self._is_greedy:
            self._warpers.append(TemperatureLogitsWarper(float(config.temperature)))
        if config.top_k:
            self._warpers.append(TopKLogitsWarper(config.top_k))
        if config.top_p < 1:
            self._warpers.append(TopPLogitsWarper(config.top_p))
        longest = max(asked.limit for asked in batch)
        seeds = [asked.prompt.row.draws("sampling").seed() for asked in batch]
        uniform = [np.random.RandomState(seed).random_sample(longest) for seed in seeds]
        self._uniform = torch.tensor(np.array(uniform), device=device)  # (rows, tokens), float64
        self._logprobs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> Any:  # noqa: ANN401 - the library's FloatTensor
        tokens = self._draw(input_ids, scores)
        self._logprobs.append(torch.log_softmax(scores, -1).gather(1, tokens)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)

    def _draw(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.Tensor:
        """Return each row's next token, shape (rows, 1)."""
        if self._is_greedy:
            return scores.argmax(-1, keepdim=True)
        warped = self._warpers(input_ids, scores)
        # in the order of the vocabulary: tokens of almost equal probability cannot change places
        reached = torch.softmax(warped.double(), -1).cumsum(-1)
        uniform = self._uniform[:, len(self._logprobs), None] * reached[:, -1:]
        return torch.searchsorted(reached, uniform, right=True)

    def logprobs(self) -> list[list[float]]:
        """Return the model's own log probability of each drawn token, by row."""
        rows: list[list[float]] = torch.stack(self._logprobs, 1).tolist()
        return rows


class _Full(StoppingCriteria):
    """Ends each row at its own limit."""

    def __init__(self, width: int, limits: torch.Tensor) -> None:
        self._width, self._limits = width, limits

    def __call__(
        self,
        input_ids: torch.LongTensor,
        scores: torch.FloatTensor,
        **kwargs: Any,  # noqa: ANN401 - whatever the library passes
    ) -> Any:  # noqa: ANN401 - the library's BoolTensor
        return self._limits <= input_ids.shape[1] - self._width


def _sampling(config: GenerateConfig) -> bytes:
    """Return what rows must have in common to share a batch."""
    fields = {"temperature", "top_p", "top_k", "max_tokens", "stop"}
    return canonical(config.model_dump(include=fields))


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:  # noqa: ANN401 - classes of the library's choosing
    """Return the tokens that end an answer, of the model's generation settings or tokenizer."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        raise ValueError("neither the model nor its tokenizer has a token that ends a text")
    return list(ends) if isinstance(ends, list) else [int(ends)]


def _context(model: Any, tokenizer: Any) -> int:  # noqa: ANN401 - as above
    """Return how many tokens of prompt and answer the model takes together."""
    config = model.config.get_text_config()
    known = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return int(min(limit for limit in known if limit))
