"""Say of each view how alike its rows are, and how many give their label away.

What is looked at is what the largest training set takes of the view, and the first real rows of the
replicate's order. Both count by content, so views with the same rows share what was found.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from engine.diagnose.similarity import as_texts, cross_similarity, inter_similarity
from engine.diagnose.trivial import trivial_rows
from engine.embeddings import Embeddings
from engine.errors import DamagedError, TextmillError
from engine.fingerprint import Plain, canonical, content_hash
from engine.mix.training_set import TrainingSet, ordered_rows, training_set
from engine.models import Model
from engine.nodes.actors import task
from engine.nodes.room import Room
from engine.steps.examination import Examination
from engine.steps.mix import Example
from engine.store.store import Store
from engine.tasks.gold import load_rows


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


def examine_all(store: Store, examinations: Sequence[Examination]) -> Iterator[Examined]:
    """Examine views in Ray tasks, one for each, and yield what became of them as they finish.

    Each takes a CPU, and a GPU where the cluster has any: the encoder is put there. Training has
    ended by then, so that they are free.
    """
    import ray
    from ray.exceptions import RayError

    gpus = 1 if Room().has_gpu else 0
    look = task(examine, num_cpus=1, num_gpus=gpus, max_retries=3)
    waiting = {look.remote(store, examination): examination for examination in examinations}
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        examination = waiting.pop(done)
        try:
            examined: Examined = ray.get(done)
        except RayError as error:  # such as a worker that dies again and again for want of memory
            examined = Examined(examination, failure=str(error).strip().partition("\n")[0])
        yield examined


def examine(store: Store, examination: Examination) -> Examined:
    """Examine one view, and commit what was found."""
    try:
        rows = _rows(store, examination)
        synthetic, real = rows.examples[: rows.synthetic], rows.examples[rows.synthetic :]
        store.commit_document(examination.name, _body(store, examination, synthetic, real))
    except DamagedError as damage:
        return Examined(examination, str(damage), damage)
    except TextmillError as error:  # such as a root that is full
        return Examined(examination, str(error))
    except Exception as error:  # the other views, and the study, can do without this one
        logging.getLogger(__name__).exception("%s failed", examination.name)
        return Examined(examination, failure=f"{type(error).__name__}: {error}")
    return Examined(examination)


def _rows(store: Store, examination: Examination) -> TrainingSet:
    train = load_rows(store, examination.mix.train_file)
    rows = training_set(store, examination.mix, ordered_rows(train, examination.mix.replicate))
    inputs = {
        "synthetic": content_hash(rows.examples[: rows.synthetic]),
        "real": content_hash(rows.examples[rows.synthetic :]),
    }
    if inputs != examination.inputs:
        raise DamagedError(examination.name, "its rows changed while it waited")
    return rows


@lru_cache(maxsize=1)  # the next view's rows want the same encoder
def _embeddings(
    root: str, place: str, revision: str | None, identity: str, max_length: int
) -> Embeddings:
    model = Model(place, revision, json.loads(identity))
    return Embeddings(Store.open(root), model, max_length)


def _body(
    store: Store, examination: Examination, synthetic: Sequence[Example], real: Sequence[Example]
) -> dict[str, Plain]:
    model, max_length = examination.model, examination.max_length
    identity = canonical(model.identity).decode()
    asked = (store.root, model.place, model.revision, identity, max_length)
    vectors = _embeddings(*asked).vectors(as_texts([*synthetic, *real]))
    synthetic_vectors, real_vectors = vectors[: len(synthetic)], vectors[len(synthetic) :]
    return {
        "kind": "diagnosis",
        "fingerprint": examination.fingerprint,
        "reads": dict(examination.reads),
        "inputs": dict(examination.inputs),
        "synthetic": {
            "rows": len(synthetic),
            "inter": inter_similarity(synthetic_vectors),
            "to_real": cross_similarity(synthetic_vectors, real_vectors),
            "trivial": trivial_rows(synthetic, examination.words),
        },
        "real": {
            "rows": len(real),
            "inter": inter_similarity(real_vectors),
            "to_real": None,
            "trivial": trivial_rows(real, examination.words),
        },
    }
