import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    pipeline,
)

from engine.errors import ModelError, RunFailedError
from engine.models import resolve_model
from engine.steps.mix import Example
from engine.study.config import PACKAGED_ENCODER, TrainConfig
from engine.train.trainer import Hardware, RowSet
from engine.train.trainers.classifier import longest_input
from engine.train.trainers.finetune import Finetune
from engine.train.trainers.spec import ClassifierSpec
from engine.train.trainers.weights import row_weights

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
    spec = ClassifierSpec(model, LABELS, config, precision, repeat)
    return Finetune().fit(known, own, spec, how or Hardware())


def test_a_classifier_learns_what_tells_labels_apart(tiny_model):
    done = fit(tiny_model, examples(20))
    assert done.predictions["test"] == [0, 1] * 10
    assert done.steps == 60


def test_the_same_repeat_gives_the_same_predictions_and_another_does_not(tiny_model):
    first, again, other = (fit(tiny_model, examples(20), repeat=r, steps=5) for r in (0, 0, 1))
    assert first.last_loss == again.last_loss
    assert first.predictions == again.predictions
    assert first.last_loss != other.last_loss


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_learns_as_well(tiny_model, precision):
    assert fit(tiny_model, examples(20), precision=precision).predictions["test"] == [0, 1] * 10


def test_a_warm_worker_trains_as_a_fresh_one_does(tiny_model):
    rows, config = RowSet("rows", examples(20)), TrainConfig(steps=5, batch_size=8)
    model = resolve_model(str(tiny_model), "main", "train.model")
    warm, scored = Finetune(), {"test": RowSet("test", examples(4))}
    spec = ClassifierSpec(model, LABELS, config, "float32", 1)
    losses = [one.fit(rows, scored, spec, Hardware()).last_loss for one in (warm, warm, Finetune())]
    assert len(set(losses)) == 1


def test_a_batch_computed_in_parts_is_the_same_batch(tiny_model):
    whole, parts = (
        fit(tiny_model, examples(20), steps=10, how=Hardware(micro_batch=size))
        for size in (None, 3)
    )
    assert parts.last_loss == pytest.approx(whole.last_loss, rel=1e-4)
    assert parts.predictions == whole.predictions


def test_rows_count_as_much_as_they_weigh(tiny_model):
    wrong = [
        Example(LABELS[row.label == "bad"], row.text, None) for row in examples(20) for _ in (1, 2)
    ]
    mixed = RowSet("mixed", [*wrong, *examples(20)], synthetic=len(wrong))
    assert fit(tiny_model, mixed).predictions["test"] == [1, 0] * 10
    assert fit(tiny_model, mixed, synthetic_weight=1e-3).predictions["test"] == [0, 1] * 10


def test_labels_weigh_what_the_recipe_says():
    rows = examples(4)[:5]  # three are bad, two are good
    balanced = row_weights(rows, 0, LABELS, TrainConfig(class_weights="balanced"))
    assert balanced == pytest.approx([5 / 6, 5 / 4, 5 / 6, 5 / 4, 5 / 6])
    assert sum(balanced) == pytest.approx(len(rows))
    given = TrainConfig(class_weights={"bad": 3}, synthetic_weight=0.5)
    assert row_weights(rows, 1, LABELS, given) == [1.5, 1, 3, 1, 3]
    one_label = [row for row in rows if row.label == "bad"]
    assert row_weights(one_label, 0, LABELS, TrainConfig(class_weights="balanced")) == [1, 1, 1]


def test_label_smoothing_keeps_a_classifier_from_being_certain(tiny_model):
    plain, smooth = (fit(tiny_model, examples(20), label_smoothing=own) for own in (0.0, 0.4))
    assert plain.last_loss < 0.1
    assert smooth.last_loss == pytest.approx(-0.8 * np.log(0.8) - 0.2 * np.log(0.2), abs=0.05)
    assert smooth.predictions["test"] == [0, 1] * 10


def test_training_ends_when_validation_gets_no_better_and_the_best_weights_are_kept(tiny_model):
    flipped = [Example(LABELS[row.label == "bad"], row.text, None) for row in examples(10)]
    first = fit(tiny_model, examples(20), flipped, steps=60, evaluate_every=2, patience=3)
    assert (first.steps, first.best_step) == (8, 2)
    stopped = fit(tiny_model, examples(20), flipped, steps=60, evaluate_every=60)
    assert (stopped.steps, stopped.best_step) == (60, 60)
    assert first.predictions["test"] != [0, 1] * 10 == stopped.predictions["test"]
    with pytest.raises(ValueError, match="give evaluate_every too"):
        TrainConfig(patience=3)


def test_lora_trains_adapters_and_a_model_that_can_be_kept(tiny_model, tmp_path):
    settings = {"lora_rank": 4, "learning_rate": 1e-2, "steps": 100}
    done = fit(tiny_model, examples(20), **settings)
    assert done.predictions["test"] == [0, 1] * 10
    done.save(tmp_path)
    classify = pipeline("text-classification", str(tmp_path), device="cpu")
    said = classify([row.text for row in examples(10)])
    assert [one["label"] for one in said] == LABELS * 10
    embedded = [
        AutoModel.from_pretrained(folder).get_input_embeddings().weight
        for folder in (tiny_model, tmp_path)
    ]
    assert torch.equal(*embedded)


@pytest.mark.parametrize("targets", ["all-linear", ["query", "value"]])
def test_lora_trains_whole_what_a_models_files_lack(tiny_model, tmp_path, targets):
    shutil.copytree(tiny_model, tmp_path / "no-pooler")
    AutoModelForMaskedLM.from_pretrained(tiny_model).save_pretrained(tmp_path / "no-pooler")
    settings = {"lora_rank": 4, "lora_targets": targets, "learning_rate": 1e-2, "steps": 100}
    done = fit(tmp_path / "no-pooler", examples(20), **settings)
    assert done.predictions["test"] == [0, 1] * 10


@pytest.mark.long
def test_a_compiled_classifier_learns_the_same(tiny_model):
    if shutil.which("g++") is None:
        pytest.skip("there is no compiler")
    plain, compiled = (
        fit(tiny_model, examples(20), steps=2, how=Hardware(is_compiled=own))
        for own in (False, True)
    )
    assert compiled.last_loss == pytest.approx(plain.last_loss, rel=1e-3)


def test_models_say_how_much_they_can_read():
    sizes = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    bert = BertForSequenceClassification(BertConfig(**sizes, max_position_embeddings=64))
    roberta = RobertaForSequenceClassification(
        RobertaConfig(**sizes, max_position_embeddings=66, pad_token_id=1)
    )
    assert (longest_input(bert), longest_input(roberta)) == (64, 64)


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


def test_a_label_without_training_rows_is_never_said(tiny_model):
    config = TrainConfig(steps=60, batch_size=8, learning_rate=2e-3, class_weights="balanced")
    model = resolve_model(str(tiny_model), "main", "train.model")
    rows, scored = RowSet("rows", examples(20)), {"test": RowSet("test", examples(10))}
    spec = ClassifierSpec(model, ["never", *LABELS], config, "float32", 0)
    done = Finetune().fit(rows, scored, spec, Hardware())
    assert done.predictions["test"] == [1, 2] * 10


def test_weights_that_are_no_numbers_after_the_last_step_are_a_failed_run(tiny_model):
    wild = {"learning_rate": 1.0, "max_grad_norm": 1e30, "weight_decay": 1e30, "steps": 1}
    with pytest.raises(RunFailedError, match="the loss on test was nan at the end"):
        fit(tiny_model, examples(4), warmup=0.0, **wild)


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
