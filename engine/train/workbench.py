"""A warm training worker: does one run after another, and keeps what the next one can use."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from engine.errors import DamagedError
from engine.evaluate.metric import scores
from engine.mix.stage import Example, Mix, TrainingSet, ordered_rows, training_set
from engine.store import Store
from engine.tasks.gold import load_rows
from engine.tasks.task import Split
from engine.train.run import Run
from engine.train.trainer import RowSet, RunFailedError, Trained, Trainer, trainer_class


class Workbench:
    """Finds a run's rows, has its trainer train, and commits the run's file."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trainers: dict[str, Trainer] = {}
        self._ordered: dict[tuple[str, int], list[Example]] = {}
        self._gold: dict[str, RowSet] = {}

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
        scored = {split: self._split(name) for split, name in run.scored.items()}
        done = self._trainer(run).train(run, RowSet(run.content, rows.examples), scored)
        self._store.commit_document(run.name, _body(run, rows, scored, done))
        return done.seconds

    def _trainer(self, run: Run) -> Trainer:
        name = run.config.trainer
        if name not in self._trainers:
            self._trainers[name] = trainer_class(name)(self._store)
        return self._trainers[name]

    def _real(self, mix: Mix) -> list[Example]:
        key = (mix.train_file, mix.replicate)
        if key not in self._ordered:
            self._ordered[key] = ordered_rows(load_rows(self._store, mix.train_file), mix.replicate)
        return self._ordered[key]

    def _split(self, name: str) -> RowSet:
        if name not in self._gold:
            self._gold[name] = RowSet(name, _examples(load_rows(self._store, name)))
        return self._gold[name]


def _examples(table: pa.Table) -> list[Example]:
    columns = [table[column].to_pylist() for column in ("label", "text", "text_pair")]
    return [Example(*row) for row in zip(*columns, strict=True)]


def _body(
    run: Run, rows: TrainingSet, scored: Mapping[Split, RowSet], done: Trained
) -> dict[str, Any]:
    return {
        "kind": "run",
        "fingerprint": run.fingerprint,
        "reads": dict(run.reads),
        "inputs": dict(run.inputs),
        "training_set": {"content": run.content, "synthetic": rows.synthetic, "real": rows.real},
        "steps_done": done.steps,
        "train_seconds": round(done.seconds, 3),
        "embed_seconds": None if done.embed_seconds is None else round(done.embed_seconds, 3),
        "last_loss": done.last_loss,
        "splits": {
            split: _scored(own, done.predictions[split], run.mix.labels)
            for split, own in scored.items()
        },
    }


def _scored(rows: RowSet, predictions: Sequence[int], labels: Sequence[str]) -> dict[str, Any]:
    numbers = {label: number for number, label in enumerate(labels)}
    gold = [numbers[example.label] for example in rows.examples]
    return {**scores(gold, predictions, len(labels))._asdict(), "predictions": list(predictions)}
