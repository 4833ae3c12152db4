"""Fine-tuning, readable top to bottom: a training set in, predictions on the gold splits out."""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.errors import RunFailedError
from engine.study.config import TrainConfig
from engine.tasks.task import Split
from engine.train.trainer import Hardware, Trained
from engine.train.trainers.dropout import FastDropout
from engine.train.trainers.encoding import Encoded, batches, collate
from engine.train.trainers.spec import ClassifierSpec
from engine.train.world import World

SCORED_AT_ONCE = 64  # rows per batch when predicting
REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def train(
    classifier: Any,  # noqa: ANN401 - a model of transformers, or PEFT's around it
    rows: Encoded,
    scored: Mapping[Split, Encoded],
    spec: ClassifierSpec,
    how: Hardware,
) -> Trained:
    """Fine-tune a classifier and predict the scored splits.

    Batches follow from ``spec.repeat`` alone, so that conditions are compared under the same draws.

    Args:
        classifier: What to train; it is altered.
        rows: The training set.
        scored: The splits to predict; "validation" also tells when to stop, if the recipe says so.
        spec: What it is made of, besides rows.
        how: Where, and how much at a time.

    Raises:
        RunFailedError: The loss is no longer a number.
    """
    config, device = spec.config, torch.device(how.device)
    classifier.to(device)
    # compiled or not, it trains the weights of ``classifier``, which ``_Best`` keeps and puts back
    runs: Any = torch.compile(classifier, dynamic=True) if how.is_compiled else classifier
    if how.world.rank:  # else the workers' dropout would be one and the same
        torch.manual_seed(torch.initial_seed() + how.world.rank)
    dropout = _dropout(device, how)
    started = time.monotonic()
    fitting = _Fitting(runs, rows, spec, how)
    best = _Best(classifier, config)
    for step in range(1, config.steps + 1):
        with dropout:
            fitting.step(step)
        if best.is_due(step):
            with _scoring(runs, device, spec.precision):
                loss, _ = _score(runs, scored["validation"], device, how.world)
            if best.is_enough(step, loss):
                break
    best.take_back()
    trained = time.monotonic()
    with _scoring(runs, device, spec.precision):
        scores = {
            split: _score(runs, encoded, device, how.world) for split, encoded in scored.items()
        }
    for split, (loss, _) in scores.items():
        if not math.isfinite(loss):  # the last step's update is seen here alone
            raise RunFailedError(f"the loss on {split} was {loss} at the end")
    losses = fitting.losses
    return Trained(
        predictions={split: predicted.tolist() for split, (_, predicted) in scores.items()},
        seconds=trained - started,
        score_seconds=time.monotonic() - trained,
        steps=len(losses),
        best_step=best.step,
        last_loss=float(np.mean(losses[-max(1, len(losses) // 10) :])),
    )


class _Fitting:
    """Takes optimiser steps; the training state of a run."""

    def __init__(
        self,
        classifier: Any,  # noqa: ANN401 - as above
        rows: Encoded,
        spec: ClassifierSpec,
        how: Hardware,
    ) -> None:
        config = spec.config
        self._classifier, self._rows, self._config, self._how = classifier, rows, config, how
        self._device, self._precision = torch.device(how.device), spec.precision
        self._parameters = [
            parameter for parameter in classifier.parameters() if parameter.requires_grad
        ]
        decayed = _decayed(self._parameters, config.weight_decay)
        self._optimiser = torch.optim.AdamW(decayed, config.learning_rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: _rate(step, config)
        )
        # float16 alone loses small gradients without a scale
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=spec.precision == "float16")
        self._batches = batches(rows, config.batch_size, spec.repeat)
        self.losses: list[float] = []

    def step(self, number: int) -> None:
        """Take one step, on one batch of all workers together.

        Raises:
            RunFailedError: The loss is no longer a number.
        """
        self._classifier.train()
        places = next(self._batches)
        total = torch.zeros((), device=self._device)
        weight = float(self._rows.weights[places].sum())
        for part in _parts(self._how.world.share(places), self._how.micro_batch):
            loss = self._loss(part) / weight
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self._how.world.add_up([total, *self._gradients()])
        self.losses.append(total.item())
        if not math.isfinite(self.losses[-1]):
            raise RunFailedError(f"the loss was {self.losses[-1]} at step {number}")
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_(self._parameters, self._config.max_grad_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        self._schedule.step()

    def _loss(self, places: Sequence[int]) -> torch.Tensor:
        """Return the rows' weighted losses, added up."""
        wanted = torch.from_numpy(self._rows.labels[places]).to(self._device)
        with _autocast(self._device, self._precision):
            logits = self._classifier(**collate(self._rows, places, self._device)).logits
        each = nn.functional.cross_entropy(
            logits.float(),
            wanted,
            label_smoothing=self._config.label_smoothing,
            reduction="none",
        )
        return (each * torch.from_numpy(self._rows.weights[places]).to(self._device)).sum()

    def _gradients(self) -> Iterator[torch.Tensor]:
        """Yield the gradients of all parameters, as all workers must have them."""
        if self._how.world.size > 1:
            for parameter in self._parameters:
                if parameter.grad is None:  # a part without rows
                    parameter.grad = torch.zeros_like(parameter)
                yield parameter.grad


class _Best:
    """Looks at validation now and then, and keeps the weights that did best there."""

    def __init__(self, classifier: nn.Module, config: TrainConfig) -> None:
        self._classifier, self._config = classifier, config
        self._loss, self._in_vain = math.inf, 0
        self._kept: dict[str, torch.Tensor] = {}
        self.step: int | None = None

    def is_due(self, step: int) -> bool:
        every = self._config.evaluate_every
        return every is not None and (step % every == 0 or step == self._config.steps)

    def is_enough(self, step: int, loss: float) -> bool:
        """Hear the loss on validation; say whether training is to end."""
        if loss < self._loss:
            self._loss, self._in_vain, self.step = loss, 0, step
            self._kept = {name: tensor.clone() for name, tensor in self._trained()}
            return False
        self._in_vain += 1
        return self._config.patience is not None and self._in_vain >= self._config.patience

    def take_back(self) -> None:
        """Put the best weights back."""
        with torch.no_grad():
            for name, tensor in self._trained() if self._kept else ():
                tensor.copy_(self._kept[name])

    def _trained(self) -> Iterator[tuple[str, torch.Tensor]]:
        named = self._classifier.named_parameters()
        yield from ((name, parameter.data) for name, parameter in named if parameter.requires_grad)
        yield from self._classifier.named_buffers()


def _dropout(device: torch.device, how: Hardware) -> contextlib.AbstractContextManager[Any]:
    """Return what drops units while a step is taken; its masks follow from torch's seed."""
    if device.type != "cpu" or how.is_compiled:
        return contextlib.nullcontext()
    return FastDropout(torch.initial_seed())


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return a context for one forward pass: its copies of the weights live as long as it does."""
    reduced = REDUCED.get(precision)
    return torch.autocast(device.type, reduced or torch.bfloat16, enabled=reduced is not None)


@contextlib.contextmanager
def _scoring(classifier: nn.Module, device: torch.device, precision: str) -> Iterator[None]:
    """Let a classifier predict: without dropout and gradients."""
    classifier.train(False)
    # not inference_mode: what models keep of it for later could not be trained with
    with torch.no_grad(), _autocast(device, precision):
        yield


def _decayed(parameters: Iterable[nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Split the parameters: matrices decay, biases and norms do not."""
    trained = list(parameters)
    return [
        {"params": [tensor for tensor in trained if tensor.ndim > 1], "weight_decay": decay},
        {"params": [tensor for tensor in trained if tensor.ndim <= 1], "weight_decay": 0.0},
    ]


def _rate(step: int, config: TrainConfig) -> float:
    """Return the share of the peak learning rate: a linear rise, then a linear fall to 0."""
    rise = math.ceil(config.warmup * config.steps)
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (config.steps - step) / max(1, config.steps - rise))


def _parts(places: Sequence[int], size: int | None) -> Iterator[Sequence[int]]:
    """Yield what is computed at a time."""
    step = size or len(places)
    for first in range(0, len(places), max(1, step)):
        yield places[first : first + step]


def _score(
    classifier: Any,  # noqa: ANN401 - as above
    rows: Encoded,
    device: torch.device,
    world: World,
) -> tuple[float, NDArray[np.int64]]:
    """Return the mean loss on rows, and the label numbers predicted, in the rows' order."""
    by_length = np.argsort(rows.lengths, kind="stable")
    predicted = np.zeros(len(rows), np.int64)
    total = torch.zeros((), dtype=torch.float64, device=device)
    firsts = world.share(range(0, len(rows), SCORED_AT_ONCE))
    for first in firsts:
        places = by_length[first : first + SCORED_AT_ONCE]
        logits = classifier(**collate(rows, places.tolist(), device)).logits.float()
        wanted = torch.from_numpy(rows.labels[places]).to(device)
        total += nn.functional.cross_entropy(logits, wanted, reduction="sum")
        predicted[places] = logits.argmax(-1).cpu().numpy()
    sums = world.gather((total.item(), predicted))
    return sum(loss for loss, _ in sums) / len(rows), np.sum([labels for _, labels in sums], axis=0)
