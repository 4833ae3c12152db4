"""Models that several threads of a process load at once."""

from concurrent.futures import ThreadPoolExecutor

import torch

from engine.generate.engines.transformers_lm import CausalLM
from engine.models import EMBEDDED, resolve_model
from engine.train.trainers.classifier import Classifiers

TIMES = 12


def test_models_that_are_loaded_at_once_are_whole(tiny_model):
    llm = resolve_model(EMBEDDED, "main", "a model")
    encoder = resolve_model(str(tiny_model), "main", "a model")

    def load(number):
        if number % 3 == 0:
            return Classifiers().plain(encoder, ["bad", "good"])
        return CausalLM(llm, {"dtype": "float32"}, "cpu", torch.get_num_threads())

    with ThreadPoolExecutor(3) as threads:
        assert None not in threads.map(load, range(TIMES))
