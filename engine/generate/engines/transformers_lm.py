"""A causal language model of ``transformers``: batches of prompts in, sampled answers out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.errors import ModelError
from engine.generate.engines.chat import chat_tokens
from engine.generate.engines.transformers_batch import Batch
from engine.generate.engines.transformers_draws import Draws
from engine.models import LOADING, Model
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
            with LOADING:
                self._model: Any = AutoModelForCausalLM.from_pretrained(
                    place, revision=revision, trust_remote_code=trust, **load_args
                )
        except (OSError, ValueError, TypeError, ImportError, RuntimeError, KeyError) as error:
            raise ModelError(
                f"generate.model is {place!r}, which cannot be loaded: {error}"
            ) from error
        self._model.to(self._device)  # type: ignore[arg-type]
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._special_texts: list[str] = self._tokenizer.all_special_tokens
        self.context = _context(self._model, self._tokenizer)

    def tokens(self, text: str) -> list[int]:
        """Return a prompt in tokens, as the chat template puts it."""
        return chat_tokens(self._tokenizer, text, self._template_args)

    @torch.inference_mode()
    def answers(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        seeds: Sequence[int],
        config: GenerateConfig,
    ) -> Iterator[tuple[int, Answer | None]]:
        """Answer a batch of prompts, and yield each answer, with its prompt's place, as it ends.

        The answer is None where the model's probabilities are not numbers.

        Args:
            prompts: Each prompt's tokens; any lengths.
            limits: Most tokens of each answer.
            seeds: What each answer's random numbers are drawn from.
            config: Temperature, top_p, top_k, min_tokens and stop texts.
        """
        batch = Batch(self._model, prompts, self._ends[0], self._device)
        draws = Draws(config, seeds, max(limits), self._ends, self._device)
        stops = _Stops(config.stop, self._raw_text)
        rows = [_Row(place, limit) for place, limit in enumerate(limits)]
        scores = batch.read()
        while True:
            drawn = draws.next(scores)
            for row, token, logprob in zip(rows, drawn.tokens, drawn.logprobs, strict=True):
                row.tokens.append(token)
                row.logprobs.append(logprob)
            going = [at for at, row in enumerate(rows) if not self._is_done(row, stops)]
            for at in sorted(set(range(len(rows))).difference(going)):
                is_broken = drawn.is_broken[at]
                yield rows[at].place, None if is_broken else self._ended(rows[at], config.stop)
            if not going:
                return
            if len(going) < len(rows):
                order = _closed_up(going)
                batch.keep(order)
                draws.keep(order)
                rows = [rows[at] for at in order]
            scores = batch.add([row.tokens[-1] for row in rows])

    def _is_done(self, row: "_Row", stops: "_Stops") -> bool:
        is_over = row.tokens[-1] in self._ends or len(row.tokens) >= row.limit
        return is_over or stops.has_met(row.tokens)

    def _ended(self, row: "_Row", stop: Sequence[str]) -> Answer:
        text = self._raw_text(row.tokens)
        met = [text.find(stop_text) for stop_text in stop if stop_text in text]
        text = text[: min(met)] if met else text
        for special in self._special_texts:
            text = text.replace(special, "")
        has_ended = bool(met) or row.tokens[-1] in self._ends
        return Answer(text, len(row.tokens), has_ended, float(np.mean(row.logprobs)))

    def _raw_text(self, tokens: list[int]) -> str:
        """Return a text with its special tokens, which may be stop texts."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))


@dataclass
class _Row:
    """An answer that is being written, to a prompt of the batch."""

    place: int
    limit: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class _Stops:
    """Whether an answer has met a stop text with its last token.

    Args:
        stop: The stop texts.
        text_of: What turns tokens into text, special tokens too.
    """

    def __init__(self, stop: Sequence[str], text_of: Callable[[list[int]], str]) -> None:
        self._stop, self._text_of = stop, text_of
        longest_stop = max((len(stop_text.encode()) for stop_text in stop), default=0)
        self._tail = longest_stop + 4  # a byte to a token
        self._last = {stop_text[-1] for stop_text in stop}
        self._may_end: dict[int, bool] = {}  # by token

    def has_met(self, tokens: list[int]) -> bool:
        """Return whether the last of an answer's tokens ends a stop text."""
        if not self._stop or not self._can_end(tokens[-1]):
            return False
        text = self._text_of(tokens[-self._tail :])
        return any(stop_text in text for stop_text in self._stop)

    def _can_end(self, token: int) -> bool:
        """Return whether a stop text can end with a token, by what it is in text.

        By itself a token may lack the space before it, and be a part of a character.
        """
        if token not in self._may_end:
            text = self._text_of([token])
            is_part = "\ufffd" in text or not text
            has_last = any(last in text or last.isspace() for last in self._last)
            self._may_end[token] = is_part or has_last
        return self._may_end[token]


def _closed_up(going: Sequence[int]) -> list[int]:
    """Return the rows that go on, the last of them in the places that others left: few move."""
    order = list(range(len(going)))
    stay = {row for row in going if row < len(going)}
    holes = [place for place in order if place not in stay]
    for hole, row in zip(holes, going[len(stay) :], strict=True):
        order[hole] = row
    return order


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
