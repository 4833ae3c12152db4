"""The trainer ``finetune``: all weights of an encoder under a new classification head."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from engine.models import Model
from engine.store import Store
from engine.study.config import TrainConfig
from engine.tasks.task import Split
from engine.train.run import Run
from engine.train.trainer import RowSet, Trained

if TYPE_CHECKING:  # a plan asks what a trainer reads, and has no need to load torch
    from engine.train.loop import Encoded

KEPT = 64  # tokenised sets that a worker keeps


class Finetune:
    """Fine-tunes; keeps tokenizers, and rows that were tokenised lately."""

    reads: ClassVar[frozenset[str]] = frozenset(TrainConfig.model_fields) - {
        "trainer",
        "inverse_regularisation",
    }
    draws: ClassVar[bool] = True

    def __init__(self, store: Store) -> None:
        self._tokenizers: dict[str, Any] = {}
        self._encoded: OrderedDict[tuple[str, ...], Encoded] = OrderedDict()

    def train(self, run: Run, rows: RowSet, scored: Mapping[Split, RowSet]) -> Trained:
        """Fine-tune a classifier and predict the scored splits.

        Raises:
            RunFailedError: The loss is no longer a number.
        """
        from engine.train.loop import train

        encoded = self._encode(run, rows)
        splits = {split: self._encode(run, own) for split, own in scored.items()}
        config, labels = run.config, run.mix.labels
        return train(encoded, splits, run.model, config, run.precision, labels, run.repeat)

    def _encode(self, run: Run, rows: RowSet) -> "Encoded":
        from engine.train.loop import encode

        limit = run.config.max_length
        key = (rows.content, run.model.place, str(run.model.revision), str(limit))
        if key not in self._encoded:
            tokenizer = self._tokenizer(run.model)
            self._encoded[key] = encode(tokenizer, rows.examples, run.mix.labels, limit)
        self._encoded.move_to_end(key)
        while len(self._encoded) > KEPT:
            self._encoded.popitem(last=False)
        return self._encoded[key]

    def _tokenizer(self, model: Model) -> Any:  # noqa: ANN401 - a class of transformers' choosing
        from engine.train.loop import load_tokenizer

        key = f"{model.place}@{model.revision}"
        if key not in self._tokenizers:
            self._tokenizers[key] = load_tokenizer(model)
        return self._tokenizers[key]
