"""Sentence embeddings, kept under the root by the content of their texts: each is made once.

``embeddings/<model and length>/<texts>.parquet`` holds a row per text: the SHA-256 of the text, and
its vector. Files are only ever added. It is a cache and no data: no fingerprint is made of it, and
a file that is damaged or gone is made again.
"""

import hashlib
import logging
import os
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.bert import EMBEDDED_AT_ONCE, load_bert
from engine.errors import DamagedError, RunFailedError
from engine.fingerprint import SHORT, digest
from engine.models import LOADING, Model
from engine.store.seal import seal_table
from engine.store.store import Store

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


EMBEDDING_VERSION = 1  # raised by hand when the same text would get another vector
COMMITTED_AT_ONCE = 512  # texts to a file: what a killed worker loses, or two make at once


class Encoder(Protocol):
    """What makes vectors of texts."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors, of length 1 each: shape (texts, dimensions)."""


class Embeddings:
    """One model's vectors of texts; an object keeps those that it was asked for.

    Args:
        store: Where they are kept.
        model: The encoder: a sentence-transformers model, with the pooling of its own, or any other
            encoder, whose last hidden states are averaged over the tokens.
        max_length: Longest input, in tokens, if the model does not take less; the rest is cut off.
    """

    def __init__(self, store: Store, model: Model, max_length: int) -> None:
        self._store, self._model, self._max_length = store, model, max_length
        made_by = {"model": model.identity, "max_length": max_length, "version": EMBEDDING_VERSION}
        self.folder = f"embeddings/{digest(made_by)[:SHORT]}"
        self._kept: dict[bytes, NDArray[np.float32]] = {}
        self._keys_of: dict[str, frozenset[bytes]] = {}  # of the files that were read
        self._encoder: Encoder | None = None

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors, of length 1 each.

        A vector does not depend on the texts beside it, but for the rounding of float32, which
        differs with the padding of a batch: about 1e-7.

        Args:
            texts: The texts, one at least.

        Returns:
            Shape (texts, dimensions).

        Raises:
            RunFailedError: It cannot be told how the model is to be used.
        """
        keys = [_key(text) for text in texts]
        text_of = dict(zip(keys, texts, strict=True))
        for part in _parts(self._look_up(text_of)):
            remaining = self._look_up(text_of)  # again: other workers may have made it meanwhile
            if some := {key: text_of[key] for key in part if key in remaining}:
                self._make(some)
        return np.stack([self._kept[key] for key in keys])

    def _look_up(self, keys: Iterable[bytes]) -> frozenset[bytes]:
        """Take what there is from the store, and return what is nowhere."""
        wanted = frozenset(keys) - self._kept.keys()
        if not wanted:
            return wanted
        for name in self._store.names(self.folder):
            if name not in self._keys_of or wanted & self._keys_of[name]:
                self._read(name, wanted)
        return wanted - self._kept.keys()

    def _read(self, name: str, wanted: frozenset[bytes]) -> None:
        whole = f"{self.folder}/{name}"
        try:
            table = self._store.table(whole).table
        except DamagedError as damage:
            logging.getLogger(__name__).warning("%s It is set aside and made again.", damage)
            self._store.set_aside(whole)
            self._keys_of.pop(name, None)
            return
        keys = table["key"].to_pylist()
        self._keys_of[name] = frozenset(keys)
        vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(keys), -1)
        for key, vector in zip(keys, vectors, strict=True):
            if key in wanted:
                self._kept[key] = vector.copy()  # a view would keep the whole file in memory

    def _make(self, missing: dict[bytes, str]) -> None:
        encoder = self._encoder = self._encoder or load_encoder(self._model, self._max_length)
        vectors = encoder.encode(list(missing.values()))
        self._kept.update(zip(missing, vectors, strict=True))
        table = pa.table(
            {
                "key": pa.array(list(missing), pa.binary(32)),
                "vector": pa.array(list(vectors), pa.list_(pa.float32())),
            }
        )
        name = f"{digest(sorted(key.hex() for key in missing))}.parquet"
        self._store.commit(f"{self.folder}/{name}", seal_table(table, {}))


class _SentenceTransformers:
    """A model of any kind, as sentence-transformers uses it."""

    def __init__(self, encoder: "SentenceTransformer") -> None:
        self._encoder = encoder

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._encoder.encode(
            list(texts),
            batch_size=EMBEDDED_AT_ONCE,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return vectors


def load_encoder(model: Model, max_length: int) -> Encoder:
    """Load a model in float32, on the GPU if there is one.

    Raises:
        RunFailedError: It is a hub model of which it is not known whether it says how to pool.
    """
    with LOADING:
        return load_bert(model, max_length) or _load_any(model, max_length)


def _load_any(model: Model, max_length: int) -> Encoder:
    """Load a model with sentence-transformers, which knows many kinds and is long in loading."""
    import torch
    from sentence_transformers import SentenceTransformer

    # it says of every plain encoder that it found no model of its own kind
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    encoder = SentenceTransformer(
        model.place,
        revision=model.revision,
        device="cuda" if torch.cuda.is_available() else "cpu",
        model_kwargs={"dtype": torch.float32},
    )
    if model.revision is not None:
        _check_pooling_is_known(model.place, model.revision)
    encoder.max_seq_length = min(max_length, encoder.max_seq_length or max_length)
    return _SentenceTransformers(encoder)


def _check_pooling_is_known(name: str, revision: str) -> None:
    """Refuse a hub model of which the cache has only what ``transformers`` reads.

    Without a network, sentence-transformers takes a ``modules.json`` that was never downloaded for
    one that does not exist, and averages: other vectors under the same name and commit.
    """
    from huggingface_hub import try_to_load_from_cache

    # every repository of the hub has .gitattributes, which nobody fetches but who fetches all
    marks = ("modules.json", ".gitattributes")
    if all(try_to_load_from_cache(name, mark, revision=revision) is None for mark in marks):
        raise RunFailedError(
            f"the model {name!r} is not whole in the Hugging Face cache, so that it is not known "
            f"how to pool; download it whole with `hf download {name}`"
        )


def _parts(missing: Iterable[bytes]) -> list[list[bytes]]:
    """Return what is to be made, in parts that are the same for all who miss the same.

    Each process takes them in an order of its own, so that workers which start together, and miss
    the same gold rows, share them out.
    """
    keys = sorted(missing)
    parts = [keys[at : at + COMMITTED_AT_ONCE] for at in range(0, len(keys), COMMITTED_AT_ONCE)]
    random.Random(os.getpid()).shuffle(parts)
    return parts


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
