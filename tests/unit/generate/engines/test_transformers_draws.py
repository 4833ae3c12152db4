"""Tokens drawn among the likeliest are those that the library's own filters lead to."""

import numpy as np
import pytest
import torch
from transformers import TopKLogitsWarper, TopPLogitsWarper

from engine.generate.engines.transformers_draws import Draws
from engine.study.config import GenerateConfig

ROWS, STEPS, SIZE, END = 60, 2, 300, 7


def filtered(scores, seeds, step, config):
    """Return each row's token, by the library's filters over the whole vocabulary."""
    if step < config.min_tokens:
        scores = scores.clone()
        scores[:, END] = -torch.inf
    scores = scores / config.temperature
    if config.top_k:
        scores = TopKLogitsWarper(config.top_k)(None, scores)
    if config.top_p < 1:
        scores = TopPLogitsWarper(config.top_p)(None, scores)
    reached = torch.softmax(scores.double(), -1).cumsum(-1).numpy()
    numbers = [np.random.RandomState(seed).random_sample(STEPS)[step] for seed in seeds]
    return [
        int(np.searchsorted(row, number * row[-1], side="right"))
        for row, number in zip(reached, numbers, strict=True)
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"top_p": 0.9},
        {"top_p": 0.5, "temperature": 2.0},
        {"top_p": 0.99, "temperature": 0.5, "min_tokens": 1},
        {"top_k": 1},
        {"top_k": 12},
        {"top_k": 12, "top_p": 0.8},
        {"top_k": 5000, "top_p": 0.8},
        {"top_k": 5000},
    ],
    ids=str,
)
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0, 30.0])  # from all alike to all but sure
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])  # of few digits: many ties
def test_the_tokens_are_those_of_the_library_s_filters(settings, spread, dtype):
    config = GenerateConfig(engine="transformers", **settings)
    seeds = list(range(ROWS))
    draws = Draws(config, seeds, STEPS, [END], torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        scores = torch.randn(len(seeds), SIZE, generator=generator) * spread
        scores = scores.to(dtype).float()
        drawn = draws.next(scores)
        assert drawn.tokens == filtered(scores, seeds, step, config)
        rows = torch.arange(len(seeds))
        logprobs = torch.log_softmax(scores, -1)[rows, torch.tensor(drawn.tokens)]
        assert drawn.logprobs == pytest.approx(logprobs.tolist(), abs=1e-4)
        order = list(range(0, len(seeds), 2))[::-1]
        draws.keep(order)
        seeds = [seeds[row] for row in order]


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9}, {"top_k": 3}, {"temperature": 0.0}])
def test_a_row_without_numbers_is_broken_and_ends(settings):
    config = GenerateConfig(engine="transformers", **settings)
    scores = torch.zeros(4, 100)
    scores[1, 5], scores[2, 6], scores[3] = torch.nan, torch.inf, -torch.inf
    drawn = Draws(config, range(4), 1, [END], torch.device("cpu")).next(scores)
    assert drawn.is_broken == [False, True, True, True]
    assert drawn.tokens[1:] == [END] * 3
