import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.embeddings import COMMITTED_AT_ONCE, Embeddings
from engine.models import PACKAGED_ENCODER, resolve_model
from engine.store.store import Store

TEXTS = ["the soup was awful on visit 1", "the pie was superb", "the room " * 20]


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


@pytest.fixture(scope="module")
def packaged():
    return resolve_model(PACKAGED_ENCODER, "main", "train.model")


def resolved(folder):
    return resolve_model(str(folder), "main", "train.model")


def keys(store, folder):
    """Return the keys in each file of a folder."""
    return {name: store.table(f"{folder}/{name}").table["key"] for name in store.names(folder)}


def test_a_text_is_embedded_once_whoever_asks(store, tiny_model):
    first = Embeddings(store, resolved(tiny_model), 64)
    made = first.vectors([TEXTS[0], TEXTS[1], TEXTS[0]])
    before = keys(store, first.folder)
    assert [len(one) for one in before.values()] == [2]
    assert np.array_equal(first.vectors(TEXTS[:2]), made[:2])
    other = Embeddings(store, resolved(tiny_model), 64)
    assert np.array_equal(other.vectors(TEXTS[:1]), made[:1])
    assert keys(store, first.folder) == before
    other.vectors(TEXTS)  # one that is kept, one that is in a file read before, one that is new
    after = keys(store, first.folder)
    assert {name: after[name] for name in before} == before
    assert [len(after[name]) for name in after.keys() - before.keys()] == [1]


def test_more_texts_than_a_file_holds_come_back_in_their_order(store, tiny_model):
    texts = [f"the soup was {n}" for n in range(COMMITTED_AT_ONCE + 9)]
    cache = Embeddings(store, resolved(tiny_model), 64)
    made = cache.vectors(texts)
    sizes = sorted(len(one) for one in keys(store, cache.folder).values())
    assert sizes == [9, COMMITTED_AT_ONCE]
    for place in (0, 100, len(texts) - 1):
        alone = Embeddings(store, resolved(tiny_model), 64).vectors([texts[place]])
        assert np.array_equal(made[place], alone[0])


def test_what_another_worker_made_meanwhile_is_not_made_again(store, tiny_model):
    texts = [f"the soup was {n}" for n in range(2 * COMMITTED_AT_ONCE + 9)]

    class Overtaken(Embeddings):
        made = 0

        def _make(self, missing):
            super()._make(missing)
            if not self.made:
                Embeddings(store, resolved(tiny_model), 64).vectors(texts)
            self.made += len(missing)

    cache = Overtaken(store, resolved(tiny_model), 64)
    vectors = cache.vectors(texts)
    assert 0 < cache.made <= COMMITTED_AT_ONCE
    held = [key for one in keys(store, cache.folder).values() for key in one.to_pylist()]
    assert len(held) == len(set(held)) == len(texts)
    plain = Embeddings(store, resolved(tiny_model), 64).vectors(texts)
    assert np.array_equal(vectors, plain)


def test_a_cached_vector_is_that_of_the_text_alone(store, tmp_path, packaged):
    among_others = Embeddings(store, packaged, 64)
    among_others.vectors(TEXTS)
    cached = Embeddings(store, packaged, 64).vectors(TEXTS)
    alone = [
        Embeddings(Store.open(str(tmp_path / str(place))), packaged, 64).vectors([text])[0]
        for place, text in enumerate(TEXTS)
    ]
    assert np.allclose(cached, alone, atol=1e-6)
    assert cached.dtype == np.float32


def test_the_packaged_encoder_averages_its_tokens_and_vectors_have_length_one(store, packaged):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(packaged.place)
    batch = tokenizer(TEXTS[:1], return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(packaged.place, dtype=torch.float32)(**batch)[0][0]
    wanted = states.mean(0).numpy()
    found = Embeddings(store, packaged, 64).vectors(TEXTS[:1])[0]
    assert np.allclose(found, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_what_is_longer_than_the_limit_is_not_seen(store, tiny_model):
    model = resolved(tiny_model)
    long, other = "the soup was " * 40 + "awful", "the soup was " * 40 + "superb"
    for limit in (16, 512):  # the model itself takes 64
        cut, again = Embeddings(store, model, limit).vectors([long, other])
        assert np.allclose(cut, again, atol=1e-6)
    seen = Embeddings(store, model, 16).vectors(["the soup was awful", "the soup was superb"])
    assert not np.allclose(*seen, atol=1e-2)
    assert len(store.names("embeddings")) == 2


def test_a_model_of_its_own_pooling_is_used_and_identified_by_it(store, tiny_model, tmp_path):
    pooled = {}
    for mode in ("cls_token", "mean_tokens"):
        folder = tmp_path / mode
        shutil.copytree(tiny_model, folder)
        modules = [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_P", "type": "sentence_transformers.models.Pooling"},
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_P").mkdir()
        config = {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": False}
        config |= {f"pooling_mode_{mode}": True}
        (folder / "1_P" / "config.json").write_text(json.dumps(config))
        pooled[mode] = Embeddings(store, resolved(folder), 64)
    plain = Embeddings(store, resolved(tiny_model), 64)
    assert len({one.folder for one in (plain, *pooled.values())}) == 3
    first, mean = (one.vectors(TEXTS) for one in pooled.values())
    assert np.allclose(mean, plain.vectors(TEXTS), atol=1e-6)
    assert not np.allclose(first, mean, atol=1e-2)


def test_a_damaged_file_is_set_aside_and_its_texts_are_embedded_again(store, tiny_model):
    first = Embeddings(store, resolved(tiny_model), 64)
    made = first.vectors(TEXTS)
    (name,) = store.names(first.folder)
    path = Path(store.root) / first.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    again = Embeddings(store, resolved(tiny_model), 64).vectors(TEXTS)
    assert np.array_equal(again, made)
    assert not store.is_damaged(f"{first.folder}/{name}")
    assert [one.name for one in store.entries(first.folder) if ".damaged" in one.name]
