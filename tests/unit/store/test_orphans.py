import numpy as np
import pytest

from engine.embeddings import Embeddings
from engine.models import resolve_model
from engine.store.orphans import orphans, remove
from engine.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def test_embeddings_can_be_removed_as_a_folder_and_are_made_again(store, tiny_model):
    model = resolve_model(str(tiny_model), "main", "train.model")
    cache = Embeddings(store, model, 64)
    made = cache.vectors(["the soup was awful"])
    cache.vectors(["the pie was superb"])
    (found,) = orphans(store)
    assert found.name == cache.folder
    assert 0 <= found.age_s < 60
    remove(store, found)
    assert orphans(store) == []
    assert np.array_equal(Embeddings(store, model, 64).vectors(["the soup was awful"]), made)
