"""The trainer ``finetune``: an encoder under a new classification head, all weights or LoRA."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from cachetools import LRUCache

from engine.errors import NoMemoryError
from engine.models import Model
from engine.steps.run import Run
from engine.store.store import Store
from engine.study.config import TrainConfig
from engine.tasks.task import Split
from engine.train.trainer import Hardware, RowSet, Trained
from engine.train.trainers.spec import ClassifierSpec
from engine.train.trainers.weights import row_weights

if TYPE_CHECKING:
    from engine.train.trainers.encoding import Encoded


KEPT_BYTES = 2**28  # of tokenised sets that a worker keeps
NO_MEMORY = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")


class Finetune:
    """Fine-tunes; keeps tokenizers, models as they were loaded, and rows tokenised lately."""

    reads: ClassVar[frozenset[str]] = frozenset(TrainConfig.model_fields) - {
        "trainer",
        "inverse_regularisation",
    }
    draws: ClassVar[bool] = True
    splits: ClassVar[bool] = True

    def __init__(self, store: Store | None = None) -> None:
        from engine.train.trainers.classifier import Classifiers

        self._classifiers = Classifiers()
        self._tokenizers: dict[str, Any] = {}
        self._encoded: LRUCache[tuple[str, ...], Encoded] = LRUCache(
            KEPT_BYTES, lambda rows: min(rows.size, KEPT_BYTES)
        )

    def train(
        self, run: Run, rows: RowSet, scored: Mapping[Split, RowSet], how: Hardware
    ) -> Trained:
        """Fine-tune a run's classifier and predict the scored splits.

        Raises:
            NoMemoryError: Memory does not suffice.
            RunFailedError: The loss is no longer a number.
        """
        spec = ClassifierSpec(run.model, run.mix.labels, run.config, run.precision, run.repeat)
        return self.fit(rows, scored, spec, how)

    def fit(
        self, rows: RowSet, scored: Mapping[Split, RowSet], spec: ClassifierSpec, how: Hardware
    ) -> Trained:
        """Fine-tune a classifier that belongs to no run; arguments and errors as of ``train``."""
        from engine.train.trainers.loop import train

        config = spec.config
        weights = row_weights(rows.examples, rows.synthetic, spec.labels, config)
        known = replace(self._encode(rows, spec), weights=np.array(weights, np.float32))
        unknown = {split: self._encode(part, spec) for split, part in scored.items()}
        classifier = self._classifiers.new(spec.model, spec.labels, config, spec.repeat)
        try:
            done = train(classifier, known, unknown, spec, how)
        except RuntimeError as error:
            if any(words in str(error).lower() for words in NO_MEMORY):
                raise NoMemoryError(f"memory did not suffice: {error}") from None
            raise

        def save(folder: Path) -> None:
            whole = classifier.merge_and_unload() if config.lora_rank else classifier
            whole.to("cpu").save_pretrained(folder)
            self._tokenizer(spec.model).save_pretrained(folder)

        return replace(done, save=save)

    def _encode(self, rows: RowSet, spec: ClassifierSpec) -> "Encoded":
        from engine.train.trainers.classifier import longest_input
        from engine.train.trainers.encoding import encode

        model, labels, max_length = spec.model, spec.labels, spec.config.max_length
        key = (rows.content, *labels, model.place, str(model.revision), str(max_length))
        if key not in self._encoded:
            plain = self._classifiers.plain(model, labels)
            limit = min(max_length, longest_input(plain) or max_length)
            pad = int(plain.config.pad_token_id)
            tokenizer = self._tokenizer(model)
            self._encoded[key] = encode(tokenizer, rows.examples, labels, limit, pad)
        return self._encoded[key]

    def _tokenizer(self, model: Model) -> Any:  # noqa: ANN401 - a class of transformers' choosing
        from engine.train.trainers.encoding import load_tokenizer

        key = f"{model.place}@{model.revision}"
        if key not in self._tokenizers:
            self._tokenizers[key] = load_tokenizer(model)
        return self._tokenizers[key]
