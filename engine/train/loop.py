"""Fine-tuning, readable top to bottom: a training set in, predictions on the gold splits out."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from engine.mix.stage import Example
from engine.models import Model
from engine.schema import Draws
from engine.study.config import TrainConfig
from engine.tasks.task import Split
from engine.train.trainer import RunFailedError, Trained

BUCKET = 50  # batches that are sorted by length together; more saves padding, fewer mixes better
SCORED_AT_ONCE = 64  # rows per batch when predicting


@dataclass(frozen=True)
class Encoded:
    """Tokenised rows: token ids and, where the model takes them, segment ids; label numbers."""

    tokens: list[dict[str, list[int]]]
    labels: list[int]

    def length(self, place: int) -> int:
        """Return a row's length in tokens."""
        return len(self.tokens[place]["input_ids"])


def load_tokenizer(model: Model) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer."""
    return AutoTokenizer.from_pretrained(model.place, revision=model.revision or "main")


def encode(
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    labels: Sequence[str],
    max_length: int,
) -> Encoded:
    """Tokenise rows; pairs are joined as the model's tokenizer joins them, the longer one cut."""
    numbers = {label: number for number, label in enumerate(labels)}
    texts = [example.text for example in examples]
    pairs = [example.text_pair for example in examples]
    has_pairs = pairs[0] is not None
    limit = min(max_length, tokenizer.model_max_length)
    batch = tokenizer(texts, pairs if has_pairs else None, truncation=True, max_length=limit)
    names = [name for name in batch if name != "attention_mask"]
    tokens = [{name: batch[name][place] for name in names} for place in range(len(texts))]
    return Encoded(tokens, [numbers[example.label] for example in examples])


def train(  # noqa: PLR0913 - a run is made of these
    train_rows: Encoded,
    scored: Mapping[Split, Encoded],
    model: Model,
    config: TrainConfig,
    precision: str,
    labels: Sequence[str],
    repeat: int,
) -> Trained:
    """Fine-tune a classifier and predict the scored splits.

    Initialisation and batch order follow from ``repeat`` alone, so that conditions are compared
    under the same draws.

    Raises:
        RunFailedError: The loss is no longer a number.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(Draws("initialisation", str(repeat)).seed())
    classifier = _load_classifier(model, labels).to(device)  # type: ignore[arg-type]
    pad = _padding(model, classifier)
    started = time.monotonic()
    losses = _optimise(classifier, train_rows, config, precision, pad, repeat, device)
    seconds = time.monotonic() - started
    with torch.inference_mode(), _autocast(device, precision):
        predictions = {
            split: _predict(classifier, rows, pad, device) for split, rows in scored.items()
        }
    tail = losses[-max(1, len(losses) // 10) :]
    return Trained(
        predictions=predictions,
        seconds=seconds,
        steps=len(losses),
        last_loss=float(np.mean(tail)),
    )


def _load_classifier(model: Model, labels: Sequence[str]) -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_pretrained(  # type: ignore[no-any-return]
        model.place,
        revision=model.revision or "main",
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        ignore_mismatched_sizes=True,  # a head for other labels is replaced
        dtype=torch.float32,
    )


def _optimise(  # noqa: PLR0913 - as above
    classifier: PreTrainedModel,
    rows: Encoded,
    config: TrainConfig,
    precision: str,
    pad: int,
    repeat: int,
    device: torch.device,
) -> list[float]:
    classifier.train()
    optimiser = torch.optim.AdamW(_decayed(classifier, config.weight_decay), config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, config))
    batches = _batches(rows, config, repeat)
    losses: list[float] = []
    for step in range(config.steps):
        batch, wanted = collate(rows, next(batches), pad, device)
        with _autocast(device, precision):
            logits = classifier(**batch).logits
        loss = nn.functional.cross_entropy(logits.float(), wanted)
        if not torch.isfinite(loss):
            raise RunFailedError(f"the loss was {loss.item()} at step {step + 1}")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(classifier.parameters(), config.max_grad_norm)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return a context for one forward pass: its copies of the weights live as long as it does."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _decayed(classifier: PreTrainedModel, decay: float) -> list[dict[str, Any]]:
    """Split the parameters: matrices decay, biases and norms do not."""
    parameters = [value for value in classifier.parameters() if value.requires_grad]
    matrices = [value for value in parameters if value.ndim > 1]
    vectors = [value for value in parameters if value.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _rate(step: int, config: TrainConfig) -> float:
    """Return the share of the peak learning rate: a linear rise, then a linear fall to 0."""
    rise = math.ceil(config.warmup * config.steps)
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (config.steps - step) / max(1, config.steps - rise))


def _batches(rows: Encoded, config: TrainConfig, repeat: int) -> Iterator[list[int]]:
    """Yield batches for ever: each pass over the rows in an order of its own.

    Rows are shuffled, and every ``BUCKET`` batches of them are sorted by length, so that a batch
    holds rows of like length and little padding; the batches are then shuffled.
    """
    count = len(rows.labels)
    generator = np.random.RandomState(Draws("batches", str(repeat)).seed())
    while True:
        order = generator.permutation(count).tolist()
        batches = []
        for start in range(0, count, BUCKET * config.batch_size):
            bucket = sorted(order[start : start + BUCKET * config.batch_size], key=rows.length)
            for first in range(0, len(bucket), config.batch_size):
                batches.append(bucket[first : first + config.batch_size])
        for place in generator.permutation(len(batches)):
            yield batches[place]


def _predict(
    classifier: PreTrainedModel, rows: Encoded, pad: int, device: torch.device
) -> list[int]:
    classifier.train(False)
    by_length = sorted(range(len(rows.labels)), key=rows.length)
    predicted = [0] * len(by_length)
    for first in range(0, len(by_length), SCORED_AT_ONCE):
        places = by_length[first : first + SCORED_AT_ONCE]
        batch, _ = collate(rows, places, pad, device)
        for place, label in zip(
            places, classifier(**batch).logits.argmax(-1).tolist(), strict=True
        ):
            predicted[place] = label
    return predicted


def collate(
    rows: Encoded, places: Sequence[int], pad: int, device: torch.device
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return rows as a model's inputs, padded to the longest, and their labels.

    Returns:
        Tensors of shape (rows, longest) by name, and label numbers of shape (rows,).
    """
    longest = max(rows.length(place) for place in places)
    batch = {}
    for name in rows.tokens[places[0]]:
        fill = pad if name == "input_ids" else 0
        lines = [rows.tokens[place][name] for place in places]
        filled = [line + [fill] * (longest - len(line)) for line in lines]
        batch[name] = torch.tensor(filled, device=device)
    mask = [[1] * rows.length(place) + [0] * (longest - rows.length(place)) for place in places]
    batch["attention_mask"] = torch.tensor(mask, device=device)
    return batch, torch.tensor([rows.labels[place] for place in places], device=device)


def _padding(model: Model, classifier: PreTrainedModel) -> int:
    pad = classifier.config.pad_token_id
    if pad is None:  # such as GPT-2: without it, a classification head reads the wrong place
        pad = load_tokenizer(model).eos_token_id or 0
        classifier.config.pad_token_id = pad
    return int(pad)
