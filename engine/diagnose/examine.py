"""Say of each view how alike its rows are, and how many give their label away.

What is looked at is what the largest training set takes of the view, and the first real rows of the
replicate's order. Both count by content, so views with the same rows share what was found.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from engine.curate.view import View
from engine.diagnose.similarity import as_texts, cross_similarity, inter_similarity
from engine.diagnose.trivial import trivial_rows
from engine.errors import DamagedError, TextmillError
from engine.fingerprint import SHORT, Plain, canonical, content_hash
from engine.mix.stage import Example, Mix, Outline, TrainingSet, ordered_rows, training_set
from engine.models import Model
from engine.session import Room
from engine.store import Store
from engine.study.config import DiagnoseConfig
from engine.study.identity import diagnosis_fingerprint, diagnosis_reads
from engine.tasks.gold import load_rows
from engine.train.embeddings import Embeddings


class Encoder(NamedTuple):
    """What a study says of its diagnoses, and the encoder that it names."""

    config: DiagnoseConfig
    model: Model


@dataclass(frozen=True)
class Examination:
    """What is to be found out about one view's rows, and the one file that it becomes.

    Attributes:
        fingerprint: Its identity, 64 hex digits.
        label: What it is called on disk, before the hash.
        view: The view.
        rows: How many of its rows are looked at.
        mix: How to put the rows together: those of the view, then the real ones.
        words: Words that give a label away.
        model: The encoder.
        max_length: Longest text, in tokens, that it is given.
        reads: What the fingerprint is made of, besides inputs.
        inputs: The content of the synthetic and of the real rows.
    """

    fingerprint: str
    label: str
    view: View
    rows: int
    mix: Mix
    words: Sequence[str]
    model: Model
    max_length: int
    reads: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Plain] = field(repr=False)

    @property
    def name(self) -> str:
        """Its file in the store."""
        return f"diagnoses/{self.label}-{self.fingerprint[:SHORT]}.json"


class Examined(NamedTuple):
    """What became of an examination.

    Attributes:
        examination: The examination.
        failure: Why there is no file; None if there is one.
        damage: The damage that it met, if that is why.
    """

    examination: Examination
    failure: str | None = None
    damage: DamagedError | None = None

    @property
    def name(self) -> str:
        """The examination's file in the store."""
        return self.examination.name


def examination(
    view: View, mix: Mix, synthetic: Outline, real: Sequence[Example], how: Encoder
) -> Examination:
    """Plan the examination of a view.

    Args:
        view: The view.
        mix: How the largest training set is put together that draws on it.
        synthetic: That training set; its real rows do not count.
        real: The replicate's real rows in their order; the first so many that are asked for count,
            or all if there are fewer.
        how: The encoder, and how many real rows.
    """
    task, config = view.pool.task, how.config
    mix = replace(mix, config=mix.config.model_copy(update={"real": config.real}))
    reads = diagnosis_reads(task, how.model.identity, config.max_length)
    inputs: dict[str, Plain] = {
        "synthetic": synthetic.synthetic_content,
        "real": content_hash(real[: config.real]),
    }
    return Examination(
        fingerprint=diagnosis_fingerprint(reads, inputs),
        label=f"{view.pool.label}-{synthetic.synthetic}",
        view=view,
        rows=synthetic.synthetic,
        mix=mix,
        words=task.trivial_words,
        model=how.model,
        max_length=config.max_length,
        reads=reads,
        inputs=inputs,
    )


def examine_all(store: Store, examinations: Sequence[Examination]) -> Iterator[Examined]:
    """Examine views in Ray tasks, one for each, and yield what became of them as they finish.

    Each takes a CPU, and a GPU where the cluster has any: the encoder is put there. Training has
    ended by then, so that they are free.
    """
    import ray
    from ray.exceptions import RayError

    gpus = 1 if Room().has_gpu else 0
    task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(examine)
    waiting = {task.remote(store, one): one for one in examinations}
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        one = waiting.pop(done)
        try:
            found: Examined = ray.get(done)
        except RayError as error:  # such as a worker that dies again and again for want of memory
            found = Examined(one, failure=str(error).strip().partition("\n")[0])
        yield found


def examine(store: Store, one: Examination) -> Examined:
    """Examine one view, and commit what was found."""
    try:
        rows = _rows(store, one)
        synthetic, real = rows.examples[: rows.synthetic], rows.examples[rows.synthetic :]
        store.commit_document(one.name, _body(store, one, synthetic, real))
    except DamagedError as damage:
        return Examined(one, str(damage), damage)
    except TextmillError as error:  # such as a root that is full
        return Examined(one, str(error))
    except Exception as error:  # the other views, and the study, can do without this one
        logging.getLogger(__name__).exception("%s failed", one.name)
        return Examined(one, failure=f"{type(error).__name__}: {error}")
    return Examined(one)


def _rows(store: Store, one: Examination) -> TrainingSet:
    train = load_rows(store, one.mix.train_file)
    rows = training_set(store, one.mix, ordered_rows(train, one.mix.replicate))
    found = {
        "synthetic": content_hash(rows.examples[: rows.synthetic]),
        "real": content_hash(rows.examples[rows.synthetic :]),
    }
    if found != one.inputs:
        raise DamagedError(one.name, "its rows changed while it waited")
    return rows


@lru_cache(maxsize=1)  # the next view's rows want the same encoder
def _embeddings(
    root: str, place: str, revision: str | None, identity: str, max_length: int
) -> Embeddings:
    model = Model(place, revision, json.loads(identity))
    return Embeddings(Store.open(root), model, max_length)


def _body(
    store: Store, one: Examination, synthetic: Sequence[Example], real: Sequence[Example]
) -> dict[str, Plain]:
    identity = canonical(one.model.identity).decode()
    asked = (store.root, one.model.place, one.model.revision, identity, one.max_length)
    vectors = _embeddings(*asked).vectors(as_texts([*synthetic, *real]))
    own, others = vectors[: len(synthetic)], vectors[len(synthetic) :]
    return {
        "kind": "diagnosis",
        "fingerprint": one.fingerprint,
        "reads": dict(one.reads),
        "inputs": dict(one.inputs),
        "synthetic": {
            "rows": len(synthetic),
            "inter": inter_similarity(own),
            "to_real": cross_similarity(own, others),
            "trivial": trivial_rows(synthetic, one.words),
        },
        "real": {
            "rows": len(real),
            "inter": inter_similarity(others),
            "to_real": None,
            "trivial": trivial_rows(real, one.words),
        },
    }
