"""A plain BERT is encoded as sentence-transformers encodes it, and what may be none, by it."""

import json
import shutil
import threading

import numpy as np
import pytest

from engine.bert import load_bert
from engine.embeddings import load_encoder
from engine.models import PACKAGED_ENCODER, resolve_model

TEXTS = [
    "",
    "   ",
    "a",
    "Naïve CAFÉ, “quoted” — 日本語 😀",
    "[MASK] and [SEP] are words of its own",
    "tab\tnew\nline \u200b and \x00 zero",
    "x" * 300,
    "the soup was awful on visit 1 " * 80,
    *(" ".join(["the soup was superb, said nobody."] * times) for times in range(1, 60, 7)),
]


def resolved(folder):
    return resolve_model(str(folder), "main", "train.model")


def by_sentence_transformers(model, max_length):
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model.place, device="cpu")
    encoder.max_seq_length = min(max_length, encoder.max_seq_length)
    return encoder.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)


def packaged(folder, **pooling):
    """Make a folder a model of sentence-transformers."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_P", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_N", "type": "sentence_transformers.models.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_P").mkdir()
    write(folder / "1_P" / "config.json", {"word_embedding_dimension": 64} | pooling)


def write(path, changes):
    """Change keys of a JSON file, which is made if it is not there."""
    before = json.loads(path.read_bytes()) if path.is_file() else {}
    path.write_text(json.dumps(before | changes))


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.mark.parametrize("max_length", [8, 128, 512])  # it takes 256
def test_the_packaged_encoder_gives_what_sentence_transformers_gives(max_length):
    model = resolve_model(PACKAGED_ENCODER, "main", "train.model")
    vectors = load_bert(model, max_length).encode(TEXTS)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - by_sentence_transformers(model, max_length)).max() < 1e-6


def test_a_plain_folder_gives_what_sentence_transformers_gives(folder):
    vectors = load_bert(resolved(folder), 512).encode(TEXTS)  # it takes 64
    assert np.abs(vectors - by_sentence_transformers(resolved(folder), 512)).max() < 1e-6


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
        {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True},
        {"pooling_mode": "cls"},
    ],
)
def test_what_a_model_says_of_its_pooling_and_length_is_done(folder, pooling):
    packaged(folder, **pooling)
    write(folder / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": False})
    vectors = load_bert(resolved(folder), 64).encode(TEXTS)
    assert np.abs(vectors - by_sentence_transformers(resolved(folder), 64)).max() < 1e-6


def test_a_model_that_sentence_transformers_saved_is_plain(folder, tmp_path):
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(folder), device="cpu").save(str(tmp_path / "saved"))
    vectors = load_bert(resolved(tmp_path / "saved"), 64).encode(TEXTS)
    assert np.abs(vectors - load_bert(resolved(folder), 64).encode(TEXTS)).max() < 1e-6


def test_weights_with_a_head_or_in_half_precision_are_those_of_the_encoder(folder):
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    halves = {f"bert.{name}": value.half() for name, value in weights.items()}
    halves["cls.bias"] = torch.zeros(2)
    save_file(
        {**halves, "cls.bias": torch.zeros(2)}, folder / "model.safetensors", {"format": "pt"}
    )
    vectors = load_bert(resolved(folder), 64).encode(TEXTS)
    assert np.abs(vectors - by_sentence_transformers(resolved(folder), 64)).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"model_type": "roberta"}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("config.json", {"architectures": ["BertForCausalLM"]}),
        ("config.json", {"is_decoder": True}),
        ("config.json", {"num_hidden_layers": 2}),  # the second has no weights
        ("tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer"}),
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"}),  # of other parts
        ("tokenizer_config.json", {"padding_side": "left"}),
        ("tokenizer_config.json", {"truncation_side": "left"}),
        ("tokenizer_config.json", {"mask_token": "[HIDDEN]"}),
        ("tokenizer_config.json", {"cls_token": "[UNK]"}),
        ("tokenizer_config.json", {"extra_special_tokens": {"end": "<end>"}}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("sentence_bert_config.json", {"max_seq_length": 65}),
        ("sentence_bert_config.json", {"unpad_inputs": True}),
        ("sentence_roberta_config.json", {"max_seq_length": 20}),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}),
        ("config_sentence_transformers.json", {"truncate_dim": 32}),
        ("1_P/config.json", {"pooling_mode_max_tokens": True}),
        ("1_P/config.json", {"pooling_mode": "max"}),
        ("modules.json", None),
        ("model.safetensors", None),
        ("tokenizer.json", None),
    ],
)
def test_whatever_else_its_files_say_is_for_sentence_transformers(folder, name, changes):
    packaged(folder, pooling_mode_mean_tokens=True)
    assert load_bert(resolved(folder), 512) is not None
    if changes is not None:
        write(folder / name, changes)
    elif name == "modules.json":
        modules = json.loads((folder / name).read_bytes())
        modules[2]["type"] = "sentence_transformers.models.Dense"
        (folder / name).write_text(json.dumps(modules))
    else:
        other = {"model.safetensors": "pytorch_model.bin", "tokenizer.json": "vocab.txt"}
        (folder / name).rename(folder / other[name])
    assert load_bert(resolved(folder), 512) is None


def test_what_is_no_plain_bert_is_encoded_all_the_same(folder):
    packaged(folder, pooling_mode_max_tokens=True)
    model = resolved(folder)
    assert load_bert(model, 64) is None
    found = load_encoder(model, 64).encode(TEXTS)
    assert np.allclose(found, by_sentence_transformers(model, 64), atol=1e-6)


def test_threads_share_an_encoder(folder):
    encoder = load_bert(resolved(folder), 64)
    alone = encoder.encode(TEXTS)
    together = [None] * 4

    def encode(place):
        together[place] = encoder.encode(TEXTS)

    threads = [threading.Thread(target=encode, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(vectors, alone) for vectors in together)
