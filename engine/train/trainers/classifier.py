"""Pretrained encoders under new classification heads: loaded once, then copied for every run."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from cachetools import LRUCache
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from engine.models import LOADING, Model
from engine.store.schema import Draws
from engine.study.config import TrainConfig
from engine.train.trainers.encoding import load_tokenizer

KEPT = 2  # models that a worker keeps in memory


class _Loaded(NamedTuple):
    """A model as its files have it.

    Attributes:
        classifier: The model, never trained itself.
        fresh: Names of the parameters that the files lack: the head's.
    """

    classifier: PreTrainedModel
    fresh: Sequence[str]


class Classifiers:
    """Hands out classifiers to be trained, each a copy of its model with a head of its own."""

    def __init__(self) -> None:
        self._loaded: LRUCache[tuple[str, str | None, int], _Loaded] = LRUCache(KEPT)

    def plain(self, model: Model, labels: Sequence[str]) -> PreTrainedModel:
        """Return the model itself, to be looked at."""
        return self._load(model, labels).classifier

    def new(self, model: Model, labels: Sequence[str], config: TrainConfig, repeat: int) -> Any:  # noqa: ANN401 - a model of transformers, or PEFT's around it
        """Return a classifier to train; whatever about it is random follows from ``repeat``."""
        loaded = self._load(model, labels)
        classifier = copy.deepcopy(loaded.classifier)
        classifier.config.id2label = dict(enumerate(labels))
        classifier.config.label2id = {label: number for number, label in enumerate(labels)}
        seed = Draws("initialisation", str(repeat)).seed()
        _draw(classifier, loaded.fresh, seed)
        torch.manual_seed(seed)  # of adapters and of dropout
        return _adapted(classifier, loaded.fresh, config) if config.lora_rank else classifier

    def _load(self, model: Model, labels: Sequence[str]) -> _Loaded:
        key = (model.place, model.revision, len(labels))
        if key not in self._loaded:
            self._loaded[key] = _load(model, len(labels))
        return self._loaded[key]


def _load(model: Model, labels: int) -> _Loaded:
    with LOADING:
        classifier, lacks = AutoModelForSequenceClassification.from_pretrained(
            model.place,
            revision=model.revision or "main",
            num_labels=labels,
            ignore_mismatched_sizes=True,  # a head for other labels is replaced
            dtype=torch.float32,
            trust_remote_code=False,  # None would ask at the terminal
            output_loading_info=True,
        )
    if classifier.config.pad_token_id is None:  # such as GPT-2: its head reads the wrong place
        tokenizer = load_tokenizer(model)
        ids = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        classifier.config.pad_token_id = next(number for number in ids if number is not None)
    replaced = {name for name, *_ in lacks["mismatched_keys"]}
    return _Loaded(classifier, sorted({*lacks["missing_keys"], *replaced}))


def _draw(classifier: PreTrainedModel, fresh: Sequence[str], seed: int) -> None:
    """Draw a new head as ``transformers`` does: matrices from a normal of the model's own width."""
    generator = torch.Generator().manual_seed(seed)
    width = getattr(classifier.config, "initializer_range", 0.02)
    parameters = dict(classifier.named_parameters())
    with torch.no_grad():
        for name in fresh:
            if (parameter := parameters.get(name)) is None:  # a buffer
                continue
            if parameter.ndim > 1:
                parameter.normal_(0.0, width, generator=generator)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def _adapted(classifier: PreTrainedModel, fresh: Sequence[str], config: TrainConfig) -> Any:  # noqa: ANN401 - PEFT's
    from peft import LoraConfig, get_peft_model

    targets = config.lora_targets
    whole = sorted({name.rpartition(".")[0] for name in fresh})  # trained as they are
    adapters = LoraConfig(
        task_type="SEQ_CLS",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,  # type: ignore[arg-type]  # a float will do
        lora_dropout=config.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=whole,
        exclude_modules=whole,
    )
    return get_peft_model(classifier, adapters)


def longest_input(classifier: PreTrainedModel) -> int | None:
    """Return how many tokens a model has positions for; None where it has no such limit."""
    for name, module in classifier.named_modules():
        if name.endswith(("position_embeddings", "wpe")) and isinstance(module, nn.Embedding):
            # those that count from the padding's id on, as RoBERTa does, have fewer to give
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - first
    positions: int | None = getattr(classifier.config, "max_position_embeddings", None)
    return positions
