"""vLLM's own loop over all prompts: to be run in a process of its own."""

from engine.generate.engines.chat import chat_tokens
from engine.generate.engines.vllm_engine import sampling
from engine.generate.engines.vllm_start import prepare
from engine.study.resources import Resources


def answers(place, config, prompts):
    """Return texts and mean log-probabilities of (prompt, seed) pairs."""
    prepare(Resources())
    from vllm import LLM

    llm = LLM(
        place,
        dtype="float32",
        max_model_len=512,
        enforce_eager=True,
        enable_chunked_prefill=False,
        kv_cache_memory_bytes=2**30,
        generation_config="vllm",
    )
    tokenizer = llm.get_tokenizer()
    asked = [{"prompt_token_ids": chat_tokens(tokenizer, text, {})} for text, _ in prompts]
    params = [sampling(config, seed, config.max_tokens) for _, seed in prompts]
    found = [output.outputs[0] for output in llm.generate(asked, params, use_tqdm=False)]
    return [(one.text, one.cumulative_logprob / len(one.token_ids)) for one in found]
