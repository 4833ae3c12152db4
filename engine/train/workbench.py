"""A warm training worker: does one run after another, and keeps what the next one can use."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from engine.errors import DamagedError
from engine.evaluate.metric import scores
from engine.mix.stage import Example, Mix, TrainingSet, ordered_rows, training_set
from engine.models import Model
from engine.store import Store
from engine.tasks.gold import load_rows
from engine.tasks.task import Split
from engine.train.loop import Encoded, RunFailedError, Trained, encode, load_tokenizer, train
from engine.train.run import Run

KEPT = 64  # tokenised sets that a worker keeps


class Workbench:
    """What a warm worker keeps between runs: tokenizers, and rows that were tokenised lately."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokenizers: dict[str, Any] = {}
        self._ordered: dict[tuple[str, int], list[Example]] = {}
        self._encoded: OrderedDict[tuple[str, ...], Encoded] = OrderedDict()

    def do(self, run: Run) -> float:
        """Train and score one run, and commit its file; return the seconds of training.

        Raises:
            RunFailedError: The run came to nothing by itself.
            DamagedError: The rows are not those that it was planned with.
        """
        rows = training_set(self._store, run.mix, self._real(run.mix))
        if rows.content != run.content:
            raise DamagedError(run.label, "its training rows changed while it waited")
        if not rows.examples:
            raise RunFailedError("there are no rows to train on")
        labels = run.mix.labels
        encoded = self._encode(run, run.content, rows.examples)
        scored = {split: self._encode(run, name, None) for split, name in run.scored.items()}
        done = train(encoded, scored, run.model, run.config, run.precision, labels, run.repeat)
        self._store.commit_document(run.name, _body(run, rows, scored, done))
        return done.seconds

    def _encode(self, run: Run, content: str, examples: Sequence[Example] | None) -> Encoded:
        """Tokenise rows once; without ``examples``, those of the store's file ``content``."""
        key = (content, run.model.place, str(run.model.revision), str(run.config.max_length))
        if key not in self._encoded:
            rows = _examples(load_rows(self._store, content)) if examples is None else examples
            tokenizer = self._tokenizer(run.model)
            self._encoded[key] = encode(tokenizer, rows, run.mix.labels, run.config.max_length)
        self._encoded.move_to_end(key)
        while len(self._encoded) > KEPT:
            self._encoded.popitem(last=False)
        return self._encoded[key]

    def _real(self, mix: Mix) -> list[Example]:
        key = (mix.train_file, mix.replicate)
        if key not in self._ordered:
            self._ordered[key] = ordered_rows(load_rows(self._store, mix.train_file), mix.replicate)
        return self._ordered[key]

    def _tokenizer(self, model: Model) -> Any:  # noqa: ANN401 - a class of transformers' choosing
        key = f"{model.place}@{model.revision}"
        if key not in self._tokenizers:
            self._tokenizers[key] = load_tokenizer(model)
        return self._tokenizers[key]


def _examples(table: pa.Table) -> list[Example]:
    columns = [table[column].to_pylist() for column in ("label", "text", "text_pair")]
    return [Example(*row) for row in zip(*columns, strict=True)]


def _body(
    run: Run, rows: TrainingSet, scored: Mapping[Split, Encoded], done: Trained
) -> dict[str, Any]:
    return {
        "kind": "run",
        "fingerprint": run.fingerprint,
        "reads": dict(run.reads),
        "inputs": dict(run.inputs),
        "training_set": {"content": run.content, "synthetic": rows.synthetic, "real": rows.real},
        "steps_done": done.steps,
        "train_seconds": round(done.seconds, 3),
        "last_loss": done.last_loss,
        "splits": {
            split: {
                **scores(encoded.labels, done.predictions[split], len(run.mix.labels))._asdict(),
                "predictions": done.predictions[split],
            }
            for split, encoded in scored.items()
        },
    }
