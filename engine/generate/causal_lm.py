"""A causal language model of ``transformers``: batches of prompts in, sampled answers out."""

from collections.abc import Mapping, Sequence
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
    StopStringCriteria,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

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
    """A model with its tokenizer, on the GPU if there is one.

    Args:
        model: The model.
        args: Arguments of ``from_pretrained``, such as ``dtype``, which else is the model's own;
            and ``chat_template_kwargs``.
        threads: CPU threads.

    Attributes:
        context: How many tokens prompt and answer may have together.
    """

    context: int

    def __init__(self, model: Model, args: Mapping[str, Any], threads: int) -> None:
        given = {"dtype": "auto", **args}
        self._template_args = given.pop("chat_template_kwargs", {})
        place, revision = model.place, model.revision or "main"
        trust = bool(given.get("trust_remote_code", False))
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer: Any = AutoTokenizer.from_pretrained(
            place, revision=revision, trust_remote_code=trust
        )
        self._model: Any = AutoModelForCausalLM.from_pretrained(place, revision=revision, **given)
        self._model.to(self._device)  # type: ignore[arg-type]
        self._ends = _end_tokens(self._model, self._tokenizer)
        # else its penalties and the like would fill in what a recipe does not say
        self._model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self.context = _context(self._model, self._tokenizer)

    def tokens(self, text: str) -> list[int]:
        """Return a prompt in tokens, as the chat template puts it."""
        asked = [{"role": "user", "content": text}]
        whole = self._tokenizer.apply_chat_template(
            asked, tokenize=False, add_generation_prompt=True, **self._template_args
        )
        tokens: list[int] = self._tokenizer(whole, add_special_tokens=False)["input_ids"]
        return tokens

    def answer(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        seeds: Sequence[int],
        config: GenerateConfig,
    ) -> list[Answer]:
        """Answer a batch of prompts.

        Args:
            prompts: Each prompt's tokens; any lengths.
            limits: Most tokens of each answer.
            seeds: What each answer's random numbers are drawn from.
            config: Temperature, top_p, top_k and stop texts.
        """
        width = max(map(len, prompts))
        pads = [width - len(tokens) for tokens in prompts]
        ids = [[self._ends[0]] * pad + list(own) for pad, own in zip(pads, prompts, strict=True)]
        mask = [[0] * pad + [1] * (width - pad) for pad in pads]
        stopping: list[StoppingCriteria] = [_Full(width, limits, self._device)]
        if config.stop:
            stopping.append(StopStringCriteria(self._tokenizer, config.stop))
        drawn = _Drawn(config, seeds, max(limits), self._device)
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=torch.tensor(ids, device=self._device),
                attention_mask=torch.tensor(mask, device=self._device),
                generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                    do_sample=False,  # the last processor leaves one token to choose
                    max_new_tokens=max(limits),
                    eos_token_id=self._ends,
                    pad_token_id=self._ends[0],
                ),
                logits_processor=LogitsProcessorList([drawn]),
                stopping_criteria=StoppingCriteriaList(stopping),
            )
        rows = zip(made[:, width:].tolist(), limits, drawn.logprobs(), strict=True)
        return [self._cut(*row, config.stop) for row in rows]

    def _cut(
        self, tokens: list[int], limit: int, logprobs: list[float], stop: Sequence[str]
    ) -> Answer:
        """Take off what a row was filled up with while others in its batch went on."""
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        count = min(limit, len(tokens) if end is None else end + 1)
        text = self._text(tokens[:count])
        has_ended = end is not None and end < count
        if found := [text.find(one) for one in stop if one in text]:
            texts = (self._text(tokens[:upto]) for upto in range(1, count + 1))
            count = 1 + next(at for at, some in enumerate(texts) if any(s in some for s in stop))
            text, has_ended = text[: min(found)], True
        return Answer(text, count, has_ended, float(np.mean(logprobs[:count])))

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


class _Drawn(LogitsProcessor):
    """Draws the next token of each row, and leaves that one alone as possible.

    ``transformers`` would draw all rows from one generator, so that a row's text would depend on
    the batch that it is in.
    """

    def __init__(
        self, config: GenerateConfig, seeds: Sequence[int], longest: int, device: torch.device
    ) -> None:
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

    def __init__(self, width: int, limits: Sequence[int], device: torch.device) -> None:
        self._width, self._limits = width, torch.tensor(limits, device=device)

    def __call__(
        self,
        input_ids: torch.LongTensor,
        scores: torch.FloatTensor,
        **kwargs: Any,  # noqa: ANN401 - whatever the library passes
    ) -> Any:  # noqa: ANN401 - the library's BoolTensor
        return self._limits <= input_ids.shape[1] - self._width


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
