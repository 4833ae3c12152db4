"""Build the embedded model from a seed: ``python -m engine.generate.embedded.train --out FOLDER``.

A Llama of 3.8 million parameters (4 layers of width 256, heads of 64), with a byte-level BPE of
3,072 tokens, is taught the lessons once, none twice; the loss is on the answers alone. It takes
about half an hour on two cores. The same seed gives the same lessons and the same tokenizer
anywhere; the weights are the same only where the arithmetic is.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from engine.generate.embedded.grammar import grammar
from engine.generate.embedded.lessons import (
    LARGEST_SHOTS,
    LESSONS,
    STRATEGIES,
    Lesson,
    demo_tasks,
    lessons,
)
from engine.generate.embedded.scope import SCOPE, Scope, wording_digest
from engine.models import embedded_folder

VOCABULARY = 3072
TOKENIZED = 6000  # lessons of their own that the tokenizer is made from
CONTEXT = 1024
PAD, END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FOLDER = embedded_folder()
BATCH_TOKENS = 4096
SORTED_TOGETHER = 1024  # lessons of like length share a batch
PEAK, WARMUP, FLAT = 2e-3, 50, 0.25  # learning rate; steps it rises over; share it stays there


class Encoded(NamedTuple):
    """A lesson in tokens; the first ``prompt`` of them are not answered for."""

    tokens: list[int]
    prompt: int


def main(
    out: Annotated[Path, typer.Option(help="Where to save it.")] = FOLDER,
    seed: int = 0,
    count: Annotated[int, typer.Option(help="Lessons; each is seen once.")] = LESSONS,
) -> None:
    """Train the embedded model and save it."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(lessons(seed + 1, TOKENIZED))
    model = LlamaForCausalLM(_config(tokenizer))
    print(f"{sum(value.numel() for value in model.parameters()):,} parameters")
    teach(model, batches(tokenizer, lessons(seed, count)), count)
    save(model, tokenizer, out)
    write_scope(out, seed, count)


def make_tokenizer(sample: Iterator[Lesson]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on lessons."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator((text for lesson in sample for text in lesson), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(ROLES),
        model_max_length=CONTEXT,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=4,
        head_dim=64,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.04,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


def batches(
    tokenizer: PreTrainedTokenizerFast, taught: Iterator[Lesson]
) -> Iterator[list[Encoded]]:
    """Yield lessons of like length together, at most ``BATCH_TOKENS`` with their padding."""
    while chunk := list(islice(taught, SORTED_TOGETHER)):
        encoded = sorted((_encode(tokenizer, lesson) for lesson in chunk), key=_length)
        batched: list[list[Encoded]] = [[]]
        for lesson in encoded:
            if (len(batched[-1]) + 1) * _length(lesson) > BATCH_TOKENS:
                batched.append([])
            batched[-1].append(lesson)
        for place in torch.randperm(len(batched)).tolist():
            yield batched[place]


def _encode(tokenizer: PreTrainedTokenizerFast, lesson: Lesson) -> Encoded:
    asked = [{"role": "user", "content": lesson.prompt}]
    text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    answer = tokenizer(lesson.text + END, add_special_tokens=False)["input_ids"]
    return Encoded([*prompt, *answer], len(prompt))


def _length(lesson: Encoded) -> int:
    return len(lesson.tokens)


def teach(model: LlamaForCausalLM, batched: Iterator[list[Encoded]], count: int) -> None:
    """Train on every batch once."""
    optimiser = torch.optim.AdamW(model.parameters(), PEAK, betas=(0.9, 0.95), weight_decay=0.1)
    seen, tokens, mean, started = 0, 0, math.nan, time.monotonic()
    model.train()
    for step, batch in enumerate(batched):
        for group in optimiser.param_groups:
            group["lr"] = PEAK * min(1.0, (step + 1) / WARMUP) * _fall(seen / count)
        loss = _loss(model, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        seen, tokens = seen + len(batch), tokens + sum(map(_length, batch))
        mean = loss.item() if math.isnan(mean) else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 0:
            seconds = time.monotonic() - started
            print(
                f"step {step}, {seen:,} lessons, {tokens:,} tokens, loss {mean:.3f}, "
                f"{seconds:.0f} s",
                flush=True,
            )


def _fall(done: float) -> float:
    """Return the share of the peak learning rate: flat at first, then half a cosine to 0."""
    if done < FLAT:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (done - FLAT) / (1 - FLAT)))


def _loss(model: LlamaForCausalLM, batch: Sequence[Encoded]) -> torch.Tensor:
    longest = max(map(_length, batch))
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    answered = torch.zeros(len(batch), longest, dtype=torch.bool)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    for place, lesson in enumerate(batch):
        tokens[place, : len(lesson.tokens)] = torch.tensor(lesson.tokens)
        mask[place, : len(lesson.tokens)] = 1
        answered[place, lesson.prompt : len(lesson.tokens)] = True
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        # the head is half of the work, and only answers need it
        logits = model.lm_head(hidden[:, :-1][answered[:, 1:]])
    return nn.functional.cross_entropy(logits.float(), tokens[:, 1:][answered[:, 1:]])


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Save weights in bfloat16, to be computed with in float32."""
    model.bfloat16().save_pretrained(out)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "dtype": "float32"}, indent=1, sort_keys=True) + "\n"
    (out / "config.json").write_text(text, encoding="utf-8")
    tokenizer.save_pretrained(out)


def write_scope(out: Path, seed: int, count: int) -> None:
    """Write down what a model that was taught the lessons can be asked."""
    scope = Scope(
        tasks={name: wording_digest(task, STRATEGIES) for name, task in demo_tasks().items()},
        strategies=list(STRATEGIES),
        topics=grammar().products,
        shots=LARGEST_SHOTS,
        seed=seed,
        lessons=count,
    )
    text = json.dumps(scope.model_dump(), indent=1) + "\n"
    (out / SCOPE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
