"""Models of several kinds: a batch's rows are what the model says of each row by itself."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
    RecurrentGemmaConfig,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.generate.engines.transformers_lm import CausalLM
from engine.study.config import GenerateConfig

LONG = 80  # tokens: a cache has room for 64 besides the prompts, and must grow
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 300,
    "initializer_range": 0.3,
}
MODELS = {
    "rotary positions": LlamaConfig(**SIZES, num_hidden_layers=2),
    "learned positions": GPT2Config(
        n_embd=32, n_layer=2, n_head=2, n_positions=300, initializer_range=0.3
    ),
    "positions that count the mask": OPTConfig(
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=300,
        init_std=0.3,
    ),
    "a sliding window": MistralConfig(**SIZES, num_hidden_layers=2, sliding_window=8),
    "a window in some layers": Gemma3TextConfig(
        **SIZES,
        num_hidden_layers=2,
        sliding_window=8,
        query_pre_attn_scalar=16,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "states in place of keys": MambaConfig(
        hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.3
    ),
    "states and a window": RecurrentGemmaConfig(
        **SIZES, num_hidden_layers=3, lru_width=32, attention_window_size=8
    ),
}
STATES = ("states in place of keys", "states and a window")  # of padding too: rows of one length
SETTINGS = [{"top_p": 0.9, "max_tokens": LONG}, {"temperature": 0.0, "max_tokens": 9}]


@pytest.fixture(scope="module")
def folder_of(tiny_llm, tmp_path_factory):
    """Save a model of random weights, with the tokenizer of the tiny Llama; return its folder."""

    def save(name):
        folder = shutil.copytree(tiny_llm, tmp_path_factory.mktemp("models") / "model")
        config, known = MODELS[name], AutoModelForCausalLM.from_pretrained(tiny_llm).config
        for number in ("vocab_size", "eos_token_id", "pad_token_id", "bos_token_id"):
            setattr(config, number, getattr(known, number))
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        return folder

    return save


def alone(model, tokens, limit, seed, config):
    """Write an answer with neither a cache nor a batch; return tokens and log probabilities."""
    whole, logprobs = list(tokens), []
    uniform = np.random.RandomState(seed).random_sample(limit)
    for number in uniform:
        with torch.inference_mode():
            scores = model(torch.tensor([whole]), use_cache=False).logits[:, -1]
        kept = scores / (config.temperature or 1.0)
        if config.top_k:
            kept = TopKLogitsWarper(config.top_k)(None, kept)
        if config.top_p < 1:
            kept = TopPLogitsWarper(config.top_p)(None, kept)
        reached = np.cumsum(torch.softmax(kept.double(), -1)[0].numpy())
        token = int(np.searchsorted(reached, number * reached[-1], side="right"))
        token = token if config.temperature else int(scores.argmax())
        logprobs.append(float(torch.log_softmax(scores, -1)[0, token]))
        whole.append(token)
        if token == model.config.eos_token_id:
            break
    return whole[len(tokens) :], logprobs


def answered(lm, prompts, limits, config, at_once):
    answers = [None] * len(prompts)
    for start in range(0, len(prompts), at_once):
        some = slice(start, start + at_once)
        seeds = range(len(prompts))[some]
        for place, answer in lm.answers(prompts[some], limits[some], seeds, config):
            assert answers[start + place] is None
            answers[start + place] = answer
    return answers


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_each_row_is_what_the_model_says_of_it_alone(folder_of, name, settings):
    folder, config = folder_of(name), GenerateConfig(engine="transformers", **settings)
    lm = CausalLM(SimpleNamespace(place=str(folder), revision=None), {}, "cpu", 1)
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    # 12 rows of about 200 tokens are more than are read at once
    lengths = [20] * 12 if name in STATES else [3, 3, 9, 20, 40, 90, 150, 190, 190, 195, 199, 200]
    prompts = [
        lm.tokens(("abcdefg"[row % 7 :] * 70)[:length]) for row, length in enumerate(lengths)
    ]
    limits = [config.max_tokens - row % 3 for row in range(len(prompts))]
    rows = [
        alone(model, tokens, limit, seed, config)
        for seed, (tokens, limit) in enumerate(zip(prompts, limits, strict=True))
    ]
    for at_once in (12, 5):
        answers = answered(lm, prompts, limits, config, at_once)
        for answer, (tokens, logprobs) in zip(answers, rows, strict=True):
            text = tokenizer.decode(tokens)
            for special in tokenizer.all_special_tokens:
                text = text.replace(special, "")
            assert answer.text == text
            assert answer.tokens == len(tokens)
            assert answer.has_ended == (tokens[-1] == model.config.eos_token_id)
            assert answer.mean_logprob == pytest.approx(np.mean(logprobs), abs=1e-3)
