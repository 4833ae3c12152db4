"""An engine that takes a GPU's time and none of its work: to measure what surrounds engines.

It answers as one does that batches continuously: ``max_num_seqs`` answers are under way at a time,
each at the same speed, and another begins as soon as one ends.
"""

import heapq
import math
import threading
import time
from collections.abc import Iterable, Iterator
from statistics import NormalDist
from typing import ClassVar

from engine.generate.engine import Completion, Prompt, Setup
from engine.study.config import GenerateConfig
from engine.tasks.task import Task

MEAN_TOKENS, SIGMA, MOST_TOKENS = 64, 0.6, 256  # of an answer's length, which is log-normal
NAP_S = 0.005  # shorter waits cost more than they are worth


class DelayEngine:
    """Answers each prompt with itself, once the time for an answer of a drawn length has passed.

    ``generate.engine_args.tokens_per_s`` says how many completion tokens it makes when it is full.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"engine_args", "temperature"})
    starts_with: ClassVar[frozenset[str]] = frozenset({"engine_args"})
    asks: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = False
    is_concurrent: ClassVar[bool] = True

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> None:
        """There is no model."""

    def __init__(self, setup: Setup) -> None:
        width = setup.resources.max_num_seqs
        self._token_s = width / float(setup.config.engine_args["tokens_per_s"])
        self._free = [0.0] * width  # when each of its places is free again
        self._lock = threading.Lock()

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once, in the order in which they are done."""
        waiting: list[tuple[float, int, Completion]] = []
        with self._lock:  # of calls that are under way at a time the first takes its places first
            for number, prompt in enumerate(prompts):
                tokens = length(prompt)
                start = max(time.monotonic(), heapq.heappop(self._free))
                end = start + tokens * self._token_s
                heapq.heappush(self._free, end)
                done = Completion(
                    row=prompt.row,
                    text=prompt.text,
                    finish_reason="stop",
                    prompt_tokens=len(prompt.text) // 4,
                    completion_tokens=tokens,
                )
                waiting.append((end, number, done))
        for end, _, done in sorted(waiting, key=lambda answer: answer[:2]):
            remaining_s = end - time.monotonic()
            if remaining_s > NAP_S:
                time.sleep(remaining_s)
            yield done

    def close(self) -> None:
        """Do nothing: it holds nothing."""


def length(prompt: Prompt) -> int:
    """Return how many tokens a row's answer has, which follows from the row alone."""
    middle = math.log(MEAN_TOKENS) - SIGMA**2 / 2
    drawn = math.exp(middle + SIGMA * _normal(prompt))
    return max(1, min(MOST_TOKENS, round(drawn)))


def _normal(prompt: Prompt) -> float:
    place = (prompt.row.draws("length").seed() % 1_000_003 + 0.5) / 1_000_003
    return NormalDist().inv_cdf(place)
