"""A causal language model of ``transformers``: batches of prompts in, sampled answers out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.errors import ModelError
from engine.generate.engines.chat import chat_tokens
from engine.models import Model
from engine.study.config import GenerateConfig


class Answer(NamedTuple):
    """What the model wrote.

    Attributes:
        text: The answer, without what stopped it.
        tokens: How many tokens it took, the one that ended it among them.
        has_ended: Whether it ended by itself or at a stop text, and not at its limit.
        mean_logprob: Mean natural-log probability that the model, without temperature or any cut,
            gives these tokens.
    """

    text: str
    tokens: int
    has_ended: bool
    mean_logprob: float


class CausalLM:
    """A model with its tokenizer, on the device that it is given.

    Args:
        model: The model.
        args: Arguments of ``from_pretrained``, such as ``dtype``, which else is the model's own;
            and ``chat_template_kwargs``.
        device: "cuda" or "cpu".
        threads: CPU threads.

    Attributes:
        context: How many tokens prompt and answer may have together.
    """

    context: int

    def __init__(self, model: Model, args: Mapping[str, Any], device: str, threads: int) -> None:
        load_args = {"dtype": "auto", **args}
        self._template_args = load_args.pop("chat_template_kwargs", {})
        place, revision = model.place, model.revision or "main"
        trust = bool(load_args.pop("trust_remote_code", False))  # None would ask at the terminal
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                place, revision=revision, trust_remote_code=trust
            )
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                place, revision=revision, trust_remote_code=trust, **load_args
            )
        except (OSError, ValueError, TypeError, ImportError, RuntimeError, KeyError) as error:
            raise ModelError(
                f"generate.model is {place!r}, which cannot be loaded: {error}"
            ) from error
        self._model.to(self._device)  # type: ignore[arg-type]
        self._ends = _end_tokens(self._model, self._tokenizer)
        # else its penalties and the like would fill in what a recipe does not say
        self._model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self.context = _context(self._model, self._tokenizer)

    def tokens(self, text: str) -> list[int]:
        """Return a prompt in tokens, as the chat template puts it."""
        return chat_tokens(self._tokenizer, text, self._template_args)

    def answer(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        seeds: Sequence[int],
        config: GenerateConfig,
    ) -> list[Answer | None]:
        """Answer a batch of prompts; None where the model's probabilities are not numbers.

        Args:
            prompts: Each prompt's tokens; any lengths.
            limits: Most tokens of each answer.
            seeds: What each answer's random numbers are drawn from.
            config: Temperature, top_p, top_k and stop texts.
        """
        # padded on the left: all answers begin at the same place
        width = max(map(len, prompts))
        pads = [width - len(tokens) for tokens in prompts]
        ids = [
            [self._ends[0]] * pad + list(tokens) for pad, tokens in zip(pads, prompts, strict=True)
        ]
        mask = [[0] * pad + [1] * (width - pad) for pad in pads]
        stopped = _Stopped(width, limits, config.stop, self._raw_text)
        drawn = _Drawn(config, seeds, max(limits), self._ends, self._device)
        with torch.inference_mode():
            sequences = self._model.generate(
                input_ids=torch.tensor(ids, device=self._device),
                attention_mask=torch.tensor(mask, device=self._device),
                generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                    do_sample=False,  # the last processor leaves one token to choose
                    max_new_tokens=max(limits),
                    eos_token_id=self._ends,
                    pad_token_id=self._ends[0],
                ),
                logits_processor=LogitsProcessorList([drawn]),
                stopping_criteria=StoppingCriteriaList([stopped]),
            )
        rows = zip(sequences[:, width:].tolist(), stopped.counts, drawn.logprobs(), strict=True)
        answers = [self._cut(*row, config.stop) for row in rows]
        return [
            None if is_broken else answer
            for answer, is_broken in zip(answers, drawn.is_broken.tolist(), strict=True)
        ]

    def _cut(
        self, tokens: list[int], stopped: int | None, logprobs: list[float], stop: Sequence[str]
    ) -> Answer:
        """Take off what a row was filled up with while others in its batch went on.

        ``stopped`` is where it met a stop text or its limit; None if it ended before.
        """
        upto = tokens[:stopped]
        end = next((place for place, token in enumerate(upto) if token in self._ends), None)
        count = len(upto) if end is None else end + 1
        text = self._raw_text(upto[:count])
        met = [text.find(stop_text) for stop_text in stop if stop_text in text]
        text = text[: min(met)] if met else text
        for special in self._tokenizer.all_special_tokens:
            text = text.replace(special, "")
        has_ended = bool(met) or end is not None
        return Answer(text, count, has_ended, float(np.mean(logprobs[:count])))

    def _raw_text(self, tokens: list[int]) -> str:
        """Return a text with its special tokens, which may be stop texts."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))


class _Drawn(LogitsProcessor):
    """Draws the next token of each row, and leaves that one alone as possible.

    A row whose scores are not numbers is ended, and ``is_broken`` tells.

    ``transformers`` would draw all rows from one generator, so that a row's text would depend on
    the batch that it is in.
    """

    def __init__(
        self,
        config: GenerateConfig,
        seeds: Sequence[int],
        longest: int,
        ends: Sequence[int],
        device: torch.device,
    ) -> None:
        self._min_tokens = config.min_tokens
        self._end_tokens = torch.tensor(ends, device=device)
        self._is_greedy = config.temperature == 0
        self._warpers = LogitsProcessorList()
        if not self._is_greedy:
            self._warpers.append(TemperatureLogitsWarper(float(config.temperature)))
        if config.top_k:
            self._warpers.append(TopKLogitsWarper(config.top_k))
        if config.top_p < 1:
            self._warpers.append(TopPLogitsWarper(config.top_p))
        uniform = [np.random.RandomState(seed).random_sample(longest) for seed in seeds]
        self._uniform = torch.tensor(np.array(uniform), device=device)  # (rows, tokens), float64
        self._end = ends[0]
        self._logprobs: list[torch.Tensor] = []
        self.is_broken = torch.zeros(len(seeds), dtype=torch.bool, device=device)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> Any:  # noqa: ANN401 - the library's FloatTensor
        self.is_broken |= ~torch.isfinite(scores.amax(-1))
        allowed: torch.Tensor = scores
        if len(self._logprobs) < self._min_tokens:
            allowed = scores.index_fill(-1, self._end_tokens, -torch.inf)
        tokens = self._draw(input_ids, allowed).masked_fill(self.is_broken[:, None], self._end)
        self._logprobs.append(torch.log_softmax(scores, -1).gather(1, tokens)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)

    def _draw(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
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


class _Stopped(StoppingCriteria):
    """Ends each row at its own limit or at a stop text.

    Attributes:
        counts: For each row, how many tokens it had then; None while it had neither.
    """

    def __init__(
        self,
        width: int,
        limits: Sequence[int],
        stop: Sequence[str],
        text_of: Callable[[list[int]], str],
    ) -> None:
        self._width, self._limits, self._stop, self._text_of = width, limits, stop, text_of
        longest_stop = max((len(stop_text.encode()) for stop_text in stop), default=0)
        self._tail = longest_stop + 4  # a byte to a token
        self.counts: list[int | None] = [None] * len(limits)

    def __call__(
        self,
        input_ids: torch.LongTensor,
        scores: torch.FloatTensor,
        **kwargs: Any,  # noqa: ANN401 - whatever the library passes
    ) -> Any:  # noqa: ANN401 - the library's BoolTensor
        count = input_ids.shape[1] - self._width
        tails: list[list[int]] = []
        if self._stop:
            tails = input_ids[:, max(self._width, input_ids.shape[1] - self._tail) :].tolist()
        for row, limit in enumerate(self._limits):
            if self.counts[row] is None and (count >= limit or self._has_met(tails, row)):
                self.counts[row] = count
        done = [upto is not None for upto in self.counts]
        return torch.tensor(done, device=input_ids.device)

    def _has_met(self, tails: list[list[int]], row: int) -> bool:
        if not self._stop:
            return False
        text = self._text_of(tails[row])
        return any(stop_text in text for stop_text in self._stop)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:  # noqa: ANN401 - classes of the library's choosing
    """Return the tokens that end an answer: those of the model's settings and its tokenizer's.

    Chat models are published with either one wrong: the other ends their answers.
    """
    model_ends = model.generation_config.eos_token_id
    ends = model_ends if isinstance(model_ends, list) else [model_ends]
    end_ids = sorted({int(end) for end in [*ends, tokenizer.eos_token_id] if end is not None})
    if not end_ids:
        raise ModelError("neither generate.model nor its tokenizer has a token that ends a text.")
    return end_ids


def _context(model: Any, tokenizer: Any) -> int:  # noqa: ANN401 - as above
    """Return how many tokens of prompt and answer the model takes together."""
    config = model.config.get_text_config()
    known = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return int(min(limit for limit in known if limit))
