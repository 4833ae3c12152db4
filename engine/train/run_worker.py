"""A warm training worker: does one run after another, and keeps what the next one can use."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from cachetools import LRUCache

from engine.errors import DamagedError, RunFailedError
from engine.evaluate.metric import scores
from engine.fingerprint import Plain
from engine.mix.training_set import ordered_rows, training_set
from engine.steps.mix import Example, Mix
from engine.steps.run import Run
from engine.store.checks import CHECKSUMS
from engine.store.store import Store
from engine.tasks.gold import load_rows
from engine.tasks.task import Split
from engine.train.trainer import Hardware, RowSet, Trained, Trainer, trainer_class

KEPT_ROWS = 200_000  # of training sets that a worker keeps
REHEARSED = 3  # steps that show how much memory a run takes
LONGEST = 256  # rows that are scored then


class RunWorker:
    """Finds a run's rows, has its trainer train, and commits the run's file."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trainers: dict[str, Trainer] = {}
        self._ordered: dict[tuple[str, int], list[Example]] = {}
        self._gold: dict[str, RowSet] = {}
        self._sets: LRUCache[tuple[str, int], RowSet] = LRUCache(
            KEPT_ROWS, lambda rows: min(len(rows.examples), KEPT_ROWS)
        )

    def do(self, run: Run, how: Hardware | None = None, *, keeps_model: bool = False) -> float:
        """Train and score one run, and commit its file; return the seconds of training.

        Args:
            run: The run.
            how: Where, and how much at a time; on the CPU if None. Workers that train it together
                all call this, and the first of them commits.
            keeps_model: Whether the classifier is kept too.

        Raises:
            RunFailedError: The run came to nothing by itself.
            DamagedError: The rows are not those that it was planned with.
        """
        how = how or Hardware()
        trainer = self._trainer(run)
        if how.world.rank and not trainer.splits:
            return 0.0
        rows = self._rows(run)
        scored = {split: self._split(name) for split, name in run.scored.items()}
        done = trainer.train(run, rows, scored, how)
        if how.world.rank == 0:
            if keeps_model and done.save:
                self._keep(run, done.save)
            self._store.commit_document(run.name, _body(run, rows, scored, done, how))
        return done.seconds

    def rehearse(self, run: Run, how: Hardware) -> None:
        """Take the steps of a run that need most memory, and let nothing remain of them.

        Raises:
            RunFailedError: It cannot be trained.
        """
        rows = self._rows(run)
        scored = {split: _longest(self._split(name)) for split, name in run.scored.items()}
        short = replace(run, config=run.config.model_copy(update={"steps": REHEARSED}))
        self._trainer(run).train(short, _longest(rows, run.config.batch_size), scored, how)

    def longest(self, run: Run) -> int:
        """Return the characters of the longest row of a run, rounded up to a power of two."""
        sets = [self._rows(run), *(self._split(name) for name in run.scored.values())]
        most = max(_characters(example) for rows in sets for example in rows.examples)
        return 1 << (most - 1).bit_length()

    def _keep(self, run: Run, save: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            files: dict[str, Plain] = {}
            for path in sorted(Path(folder).iterdir()):
                data = path.read_bytes()
                self._store.commit(f"{run.model_folder}/{path.name}", data)
                files[path.name] = hashlib.sha256(data).hexdigest()
        body: dict[str, Plain] = {"kind": "model", "fingerprint": run.fingerprint, "files": files}
        self._store.commit_document(f"{run.model_folder}/{CHECKSUMS}", body)

    def _rows(self, run: Run) -> RowSet:
        """Return a run's training set; those of the last runs are at hand."""
        key = (run.content, run.mix.config.real)  # the same texts may come from elsewhere
        if key not in self._sets:
            rows = training_set(self._store, run.mix, self._real(run.mix))
            if rows.content != run.content:
                raise DamagedError(run.label, "its training rows changed while it waited")
            if not rows.examples:
                raise RunFailedError("there are no rows to train on")
            self._sets[key] = RowSet(run.content, rows.examples, rows.synthetic)
        return self._sets[key]

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


def _longest(rows: RowSet, count: int = LONGEST) -> RowSet:
    """Return the longest rows, so many times over that they are as many as asked for."""
    by_length = sorted(rows.examples, key=_characters, reverse=True)
    longest = list(islice(cycle(by_length[:count]), count))
    return RowSet(f"longest {count} of {rows.content}", longest)


def _characters(row: Example) -> int:
    return len(row.text) + len(row.text_pair or "")


def _body(
    run: Run, rows: RowSet, scored: Mapping[Split, RowSet], done: Trained, how: Hardware
) -> dict[str, Any]:
    return {
        "kind": "run",
        "fingerprint": run.fingerprint,
        "reads": dict(run.reads),
        "inputs": dict(run.inputs),
        "training_set": {
            "content": run.content,
            "synthetic": rows.synthetic,
            "real": len(rows.examples) - rows.synthetic,
        },
        "steps_done": done.steps,
        "best_step": done.best_step,
        "micro_batch": how.micro_batch,
        "workers": how.world.size,
        "train_seconds": round(done.seconds, 4),
        "score_seconds": round(done.score_seconds, 4),
        "embed_seconds": None if done.embed_seconds is None else round(done.embed_seconds, 3),
        "last_loss": done.last_loss,
        "splits": {
            split: _scored(split_rows, done.predictions[split], run.mix.labels)
            for split, split_rows in scored.items()
        },
    }


def _scored(rows: RowSet, predictions: Sequence[int], labels: Sequence[str]) -> dict[str, Any]:
    numbers = {label: number for number, label in enumerate(labels)}
    gold = [numbers[example.label] for example in rows.examples]
    return {**scores(gold, predictions, len(labels))._asdict(), "predictions": list(predictions)}
