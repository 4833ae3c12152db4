"""The next token of each row of a batch, drawn with random numbers of the row's own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.study.config import GenerateConfig

LIKELIEST = 64  # tokens that are looked at first; the nucleus of top_p is seldom larger
# Sums of float32 over a vocabulary, in whatever order, are this exact by far.
CLOSE = 1e-5


class Drawn(NamedTuple):
    """The next token of each row.

    Attributes:
        tokens: The tokens.
        logprobs: The model's own log probability of each.
        is_broken: Whether a row's scores were no numbers; its token ends it.
    """

    tokens: list[int]
    logprobs: list[float]
    is_broken: list[bool]


class Draws:
    """Draws tokens; a row's do not depend on the rows beside it.

    What ``top_k`` and ``top_p`` leave is found among the likeliest tokens. Where those do not tell,
    because more are left, or a token is so close to the limit that rounding decides, the library's
    own filters are asked: the answer is always theirs.

    Args:
        config: Temperature, top_p, top_k and min_tokens.
        seeds: What each row's random numbers are drawn from.
        longest: Most tokens of any row.
        ends: The tokens that end an answer.
        device: Where scores lie.
    """

    def __init__(
        self,
        config: GenerateConfig,
        seeds: Sequence[int],
        longest: int,
        ends: Sequence[int],
        device: torch.device,
    ) -> None:
        self._config = config
        self._end, self._end_tokens = ends[0], torch.tensor(ends, device=device)
        self._filters = LogitsProcessorList()
        if config.top_k:
            self._filters.append(TopKLogitsWarper(config.top_k))
        if config.top_p < 1:
            self._filters.append(TopPLogitsWarper(config.top_p))
        uniform = [np.random.RandomState(seed).random_sample(longest) for seed in seeds]
        self._uniform = torch.tensor(np.array(uniform), device=device)  # (rows, tokens), float64
        self._drawn = 0

    def keep(self, order: Sequence[int]) -> None:
        """Keep the rows named, in this order."""
        self._uniform = self._uniform[list(order)]

    def next(self, scores: torch.Tensor) -> Drawn:
        """Draw each row's next token.

        Args:
            scores: The model's scores, shape (rows, vocabulary), float32.
        """
        allowed = scores
        if self._drawn < self._config.min_tokens:
            allowed = scores.index_fill(-1, self._end_tokens, -torch.inf)
        whole = scores.logsumexp(-1, keepdim=True)
        is_broken = ~torch.isfinite(whole)
        tokens = self._draw(allowed).masked_fill(is_broken, self._end)
        logprobs = scores.gather(1, tokens) - whole
        self._drawn += 1
        return Drawn(tokens[:, 0].tolist(), logprobs[:, 0].tolist(), is_broken[:, 0].tolist())

    def _draw(self, scores: torch.Tensor) -> torch.Tensor:
        """Return each row's next token, shape (rows, 1)."""
        if self._config.temperature == 0:
            return scores.argmax(-1, keepdim=True)
        uniform = self._uniform[:, self._drawn, None]
        scores = TemperatureLogitsWarper(float(self._config.temperature))(None, scores)
        if not self._filters:
            return _pick(scores, uniform)
        tokens, is_sure = self._draw_likely(scores, uniform)
        unsure = (~is_sure).nonzero()[:, 0]
        if len(unsure):
            filtered = self._filters(None, scores[unsure])  # type: ignore[arg-type]
            tokens[unsure] = _pick(filtered, uniform[unsure])
        return tokens

    def _draw_likely(
        self, scores: torch.Tensor, uniform: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw among the likeliest tokens.

        Returns:
            Each row's token, shape (rows, 1), and whether it is the one that the filters' answer
            leads to, shape (rows,).
        """
        top_p, top_k = self._config.top_p, self._config.top_k
        count = min(top_k or LIKELIEST, scores.shape[-1])
        # one more than may be left: it may be as likely as the last
        values, tokens = scores.topk(min(count + 1, scores.shape[-1]))
        likely = values[:, :count].double()
        whole = likely if top_k else scores
        reached = (likely - whole.logsumexp(-1, keepdim=True)).exp().cumsum(-1)
        is_sure = torch.isfinite(reached[:, -1:])
        kept = torch.full_like(tokens[:, :1], count)
        if top_p < 1:
            kept = 1 + (reached[:, :-1] < top_p).sum(-1, keepdim=True)
            is_sure &= ((reached - top_p).abs() > CLOSE).all(-1, keepdim=True)
        if not top_k:
            is_sure &= reached[:, -1:] > top_p
        elif count < values.shape[-1]:
            is_sure &= values[:, -2:-1] > values[:, -1:]
        following = kept.clamp(max=values.shape[-1] - 1)
        is_sure &= values.gather(1, kept - 1) > values.gather(1, following)
        likely[torch.arange(count, device=likely.device) >= kept] = -torch.inf
        in_order = tokens[:, :count].argsort(-1)
        picked = _pick(likely.gather(1, in_order), uniform).clamp(max=count - 1)
        return tokens.gather(1, in_order.gather(1, picked)), is_sure[:, 0]


def _pick(scores: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return where each row's random number falls among the probabilities of its scores.

    They stand in the order of the vocabulary: tokens of almost equal probability cannot change
    places.
    """
    reached = torch.softmax(scores.double(), -1).cumsum(-1)
    return torch.searchsorted(reached, uniform * reached[:, -1:], right=True)
