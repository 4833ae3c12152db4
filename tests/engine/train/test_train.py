import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from command import environment

from engine.errors import ModelError
from engine.mix.stage import Example
from engine.models import resolve_model
from engine.study.config import PACKAGED_ENCODER, TrainConfig
from engine.train.finetune import Finetune
from engine.train.trainer import How, RowSet, RunFailedError

LABELS = ["bad", "good"]


def examples(count):
    words = {"bad": ["awful", "stale", "rude"], "good": ["superb", "fresh", "lovely"]}
    return [
        Example(label, f"the soup was {words[label][n % 3]} on visit {n}", None)
        for n in range(count)
        for label in LABELS
    ]


def fit(  # noqa: PLR0913
    model_folder, rows, scored=None, repeat=0, precision="float32", how=None, **settings
):
    fields = {"model": str(model_folder), "steps": 60, "batch_size": 8, "learning_rate": 2e-3}
    config = TrainConfig(**{**fields, **settings})
    model = resolve_model(config.model, config.revision, "train.model")
    test = RowSet("test", scored or examples(10))
    own = {"test": test, "validation": RowSet("validation", test.examples)}
    known = rows if isinstance(rows, RowSet) else RowSet("rows", rows)
    return Finetune().fit(known, own, model, LABELS, config, precision, repeat, how or How())


def test_a_classifier_learns_what_tells_labels_apart(tiny_model):
    done = fit(tiny_model, examples(20))
    assert done.predictions["test"] == [0, 1] * 10
    assert done.steps == 60


def test_the_same_repeat_gives_the_same_predictions_and_another_does_not(tiny_model):
    first, again, other = (fit(tiny_model, examples(20), repeat=r, steps=5) for r in (0, 0, 1))
    assert first.last_loss == again.last_loss
    assert first.predictions == again.predictions
    assert first.last_loss != other.last_loss


def test_bfloat16_learns_as_well(tiny_model):
    assert fit(tiny_model, examples(20), precision="bfloat16").predictions["test"] == [0, 1] * 10


def test_fewer_rows_than_a_batch_still_take_every_step(tiny_model):
    assert fit(tiny_model, examples(1), batch_size=32, steps=7).steps == 7


def test_a_single_class_is_learnt_as_such(tiny_model):
    rows = [row for row in examples(20) if row.label == "good"]
    assert set(fit(tiny_model, rows).predictions["test"]) == {1}


def test_texts_longer_than_the_model_are_cut(tiny_model):
    rows = [Example(row.label, row.text + " soup" * 500, None) for row in examples(4)]
    assert fit(tiny_model, rows, steps=2, max_length=512).steps == 2


def test_predictions_keep_the_rows_order_whatever_their_length(tiny_model):
    rows = examples(20)
    scored = [
        Example(row.label, row.text + " the table" * (n % 7), None) for n, row in enumerate(rows)
    ]
    predicted = np.array(fit(tiny_model, rows, scored).predictions["test"])
    assert np.mean(predicted == [LABELS.index(row.label) for row in scored]) > 0.9


def test_pairs_are_told_apart_by_their_second_text(tiny_model):
    rows = [Example(row.label, "the soup", row.text) for row in examples(20)]
    done = fit(tiny_model, rows, rows, steps=40)
    assert done.predictions["test"] == [LABELS.index(row.label) for row in rows]


def test_a_loss_that_is_no_number_is_a_failed_run(tiny_model):
    with pytest.raises(RunFailedError, match="the loss was nan at step"):
        fit(tiny_model, examples(4), learning_rate=1.0, max_grad_norm=1e30, weight_decay=1e30)


def test_the_packaged_encoder_is_what_it_should_be():
    model = resolve_model(TrainConfig().model, "main", "train.model")
    assert model.revision is None
    assert len(str(model.identity)) == 64
    assert TrainConfig().model == PACKAGED_ENCODER


def _resolved(folder):
    return resolve_model(str(folder), "main", "train.model")


def test_a_model_counts_by_content_and_not_by_place(tiny_model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    one, other = (_resolved(path) for path in (tiny_model, copy))
    assert one.identity == other.identity
    (copy / "README.md").write_text("not read by anything")
    assert _resolved(copy).identity == one.identity
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.5}))
    assert _resolved(copy).identity != one.identity


def test_what_follows_the_encoder_is_part_of_a_model(tiny_model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    seen = [_resolved(copy).identity]
    (copy / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "1_Pooling"}]))
    seen.append(_resolved(copy).identity)
    (copy / "1_Pooling").mkdir()
    for mode in ("cls", "mean"):
        (copy / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": mode}))
        seen.append(_resolved(copy).identity)
    assert len(set(seen)) == 4
    (copy / "modules.json").write_text("{")
    with pytest.raises(ModelError, match=r"modules\.json cannot be read"):
        _resolved(copy)


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("model.safetensors", "lacks weights"),
        ("tokenizer.json", "lacks a tokenizer"),
        ("config.json", "lacks config.json"),
    ],
)
def test_a_model_folder_that_lacks_something_is_refused(tiny_model, tmp_path, lost, says):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy, ignore=shutil.ignore_patterns(lost))
    with pytest.raises(ModelError, match=says):
        _resolved(copy)


def test_a_model_that_is_not_there_says_what_to_do_offline(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"no such folder"):
        _resolved(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"nobody/nothing.*hf download nobody/nothing"):
        resolve_model("nobody/nothing", "main", "train.model")


def test_a_hub_that_cannot_be_reached_says_the_same():
    code = (
        "from engine.models import resolve_model\n"
        "resolve_model('nobody/nothing', 'main', 'train.model')"
    )
    unreachable = environment(HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    done = subprocess.run(
        [sys.executable, "-c", code], env=unreachable, capture_output=True, text=True, check=False
    )
    assert "ModelError: train.model is 'nobody/nothing'" in done.stderr
    assert "hf download nobody/nothing" in done.stderr
