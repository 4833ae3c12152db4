"""The trainer ``head``: logistic regression on sentence embeddings of a frozen encoder.

Nothing about it is random, and a text is embedded once for all runs. It is a cheap way to compare
training sets, and says nothing of what a fine-tuned classifier can reach.
"""

import time
import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.embeddings import Embeddings
from engine.errors import RunFailedError
from engine.steps.mix import Example
from engine.steps.run import Run
from engine.store.store import Store
from engine.tasks.task import Split
from engine.train.trainer import Hardware, RowSet, Trained

MAX_ITERATIONS = 5000  # of L-BFGS; sentence embeddings take tens to a few hundred


class Head:
    """Fits a head; keeps encoders and the vectors that it was asked for."""

    reads: ClassVar[frozenset[str]] = frozenset(
        {"model", "revision", "max_length", "inverse_regularisation"}
    )
    draws: ClassVar[bool] = False
    splits: ClassVar[bool] = False

    def __init__(self, store: Store) -> None:
        self._store = store
        self._embeddings: dict[tuple[str, str | None, int], Embeddings] = {}

    def train(
        self, run: Run, rows: RowSet, scored: Mapping[Split, RowSet], how: Hardware
    ) -> Trained:
        """Fit a classifier and predict the scored splits.

        A training set of one label makes a classifier that always says that label.

        Raises:
            RunFailedError: The fit did not converge, or the encoder cannot be used.
        """
        started = time.monotonic()
        known, *unknown = self._features(run, [rows, *scored.values()])
        embedded = time.monotonic()
        numbers = {label: number for number, label in enumerate(run.mix.labels)}
        labels = [numbers[example.label] for example in rows.examples]
        classifier = fit(known, labels, run.config.inverse_regularisation)
        fitted = time.monotonic()
        predictions = {
            split: classifier.predict(vectors).tolist()
            for split, vectors in zip(scored, unknown, strict=True)
        }
        return Trained(
            predictions=predictions,
            seconds=fitted - embedded,
            score_seconds=time.monotonic() - fitted,
            embed_seconds=embedded - started,
        )

    def _features(self, run: Run, sets: Sequence[RowSet]) -> list[NDArray[np.float64]]:
        """Return each set's features; all texts are looked up together."""
        key = (run.model.place, run.model.revision, run.config.max_length)
        if key not in self._embeddings:
            self._embeddings[key] = Embeddings(self._store, run.model, run.config.max_length)
        whole = features(
            self._embeddings[key], [example for rows in sets for example in rows.examples]
        )
        return np.split(whole, list(accumulate(len(rows.examples) for rows in sets))[:-1])


def features(embeddings: Embeddings, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Return what a head sees of rows: a text's vector u, or of a pair [u, v, |u - v|, u * v].

    The concatenation is that of InferSent (Conneau et al. 2017, arXiv:1705.02364, section 3.1).

    Returns:
        Shape (rows, dimensions), or (rows, 4 dimensions) for pairs.
    """
    texts = [example.text for example in examples]
    pairs = [example.text_pair for example in examples if example.text_pair is not None]
    vectors = embeddings.vectors([*texts, *pairs]).astype(np.float64)
    if not pairs:
        return vectors
    u, v = np.split(vectors, 2)
    return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)


def fit(known: NDArray[np.float64], labels: Sequence[int], inverse_regularisation: float) -> Any:  # noqa: ANN401 - a classifier of scikit-learn, which is untyped
    """Fit multinomial logistic regression with an L2 penalty; the intercept is not penalised.

    Args:
        known: Features, shape (rows, features).
        labels: Label numbers, shape (rows,).
        inverse_regularisation: scikit-learn's C: the larger, the weaker the penalty.

    Raises:
        RunFailedError: It did not converge: its scores would be those of a point on the way.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(set(labels)) == 1:
        return DummyClassifier(strategy="most_frequent").fit(known, labels)
    classifier = LogisticRegression(C=inverse_regularisation, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return classifier.fit(known, labels)
        except ConvergenceWarning as warning:
            raise RunFailedError(
                f"the head did not converge in {MAX_ITERATIONS} iterations; a smaller "
                f"train.inverse_regularisation than {inverse_regularisation:g} converges faster"
            ) from warning
