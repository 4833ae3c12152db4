"""Sentence embeddings of a plain BERT, with ``torch`` and ``tokenizers`` alone.

sentence-transformers takes 8 s of a core and 600 MB to be imported, and most encoders of sentences
are a BERT, the average of its last hidden states, and nothing else. Such a model is read here; what
it is follows from its files, and of whatever else stands in them it is said that it is none.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models import Model

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

EMBEDDED_AT_ONCE = 64  # texts per batch
# what a sentence_bert_config.json may say beside the greatest length, and changes nothing
_SETTINGS: Mapping[str, Any] = {
    "do_lower_case": False,
    "transformer_task": "feature-extraction",
    "modality_config": {
        "text": {"method": "forward", "method_output_name": "last_hidden_state"},
    },
    "module_output_name": "token_embeddings",
}
# what a config_sentence_transformers.json may say; a prompt is used only if it is the default
_PACKAGING = frozenset({"__version__", "prompts", "similarity_fn_name", "model_type"})
_POOLED: Mapping[str, str] = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_AS_IN_ITS_FILE = ("TokenizersBackend", "PreTrainedTokenizerFast")
_OF_BERT = ("BertTokenizer", "BertTokenizerFast")
_SPECIAL = ("unk", "sep", "pad", "cls", "mask")
_PARTS = (  # of a layer, by the names of transformers
    *(f"attention.self.{name}" for name in ("query", "key", "value")),
    *("attention.output.dense", "attention.output.LayerNorm"),
    *("intermediate.dense", "output.dense", "output.LayerNorm"),
)

Pooling = Literal["mean", "cls"]


class Shape(NamedTuple):
    """What a BERT is, beside its weights.

    Attributes:
        layers: How many.
        heads: Of each layer.
        epsilon: Added to a variance before it is divided by.
    """

    layers: int
    heads: int
    epsilon: float


class Bert:
    """A BERT in float32 that makes one vector of a text; it changes nothing of its own when used.

    Args:
        tokenizer: It cuts off what is too long, and pads nothing.
        weights: By the names of ``transformers``, all on one device.
        shape: What the weights are put together to.
        pooling: What a text's vector is: the average of its tokens' states, or the first one's.
    """

    def __init__(
        self,
        tokenizer: "Tokenizer",
        weights: "Mapping[str, torch.Tensor]",
        shape: Shape,
        pooling: Pooling,
    ) -> None:
        self._tokenizer, self._weights = tokenizer, weights
        self._shape, self._pooling = shape, pooling

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors, of length 1 each: shape (texts, dimensions)."""
        import torch

        tokens = [text.ids for text in self._tokenizer.encode_batch(list(texts))]
        # texts of like length together: little padding
        order = sorted(range(len(texts)), key=lambda place: len(tokens[place]), reverse=True)
        batches = []
        with torch.inference_mode():
            for start in range(0, len(order), EMBEDDED_AT_ONCE):
                batch = [tokens[place] for place in order[start : start + EMBEDDED_AT_ONCE]]
                batches.append(self._vectors(batch).cpu().numpy())
        sorted_vectors = np.concatenate(batches)
        vectors: NDArray[np.float32] = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return vectors

    def _vectors(self, batch: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Return vectors of token ids, the longest first."""
        import torch
        from torch.nn.functional import normalize

        longest = len(batch[0])
        device = self._weights["embeddings.word_embeddings.weight"].device
        ids = torch.tensor([[*line, *[0] * (longest - len(line))] for line in batch], device=device)
        lengths = torch.tensor([len(line) for line in batch], device=device)
        is_token = torch.arange(longest, device=device) < lengths[:, None]
        states = self._states(ids, None if len(batch[-1]) == longest else is_token)
        if self._pooling == "cls":
            return normalize(states[:, 0])
        return normalize((states * is_token[..., None]).sum(1) / lengths[:, None])

    def _states(self, ids: "torch.Tensor", is_token: "torch.Tensor | None") -> "torch.Tensor":
        """Return the last hidden states, shape (texts, tokens, dimensions)."""
        from torch.nn.functional import gelu, scaled_dot_product_attention

        embeddings = (
            self._weights["embeddings.word_embeddings.weight"][ids]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
            + self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        )
        states = self._normed("embeddings", embeddings)
        seen = None if is_token is None else is_token[:, None, None, :]
        for number in range(self._shape.layers):
            layer = f"encoder.layer.{number}"
            query, key, value = (
                self._linear(f"{layer}.attention.self.{name}", states)
                .view(*ids.shape, self._shape.heads, -1)
                .transpose(1, 2)
                for name in ("query", "key", "value")
            )
            heads = scaled_dot_product_attention(query, key, value, attn_mask=seen)
            attended = self._linear(
                f"{layer}.attention.output.dense", heads.transpose(1, 2).flatten(2)
            )
            states = self._normed(f"{layer}.attention.output", attended + states)
            wide = gelu(self._linear(f"{layer}.intermediate.dense", states))
            narrow = self._linear(f"{layer}.output.dense", wide)
            states = self._normed(f"{layer}.output", narrow + states)
        return states

    def _linear(self, name: str, values: "torch.Tensor") -> "torch.Tensor":
        from torch.nn.functional import linear

        return linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _normed(self, name: str, values: "torch.Tensor") -> "torch.Tensor":
        from torch.nn.functional import layer_norm

        weight = self._weights[f"{name}.LayerNorm.weight"]
        bias = self._weights[f"{name}.LayerNorm.bias"]
        return layer_norm(values, weight.shape, weight, bias, self._shape.epsilon)


def load_bert(model: Model, max_length: int) -> Bert | None:
    """Load a plain BERT onto the GPU if there is one, else onto the CPU.

    Args:
        model: The encoder.
        max_length: Longest input, in tokens, if the model does not take less.

    Returns:
        The encoder, or None if its files may say anything else than a BERT, of which all states are
        averaged or the first is taken, or if they do not all lie on this machine.
    """
    folder = _folder(model)
    if folder is None or not all(
        (folder / name).is_file() for name in ("config.json", "tokenizer.json", "model.safetensors")
    ):
        return None
    config, words = _json(folder / "config.json"), _json(folder / "tokenizer_config.json")
    pooling = _pooling(folder)
    if pooling is None or not _is_plain(config) or (folder / "adapter_config.json").exists():
        return None
    longest = config["max_position_embeddings"]
    limit = min(words.get("model_max_length") or longest, longest)
    if (folder / "modules.json").is_file():  # else the next file is read by nobody
        limit = _json(folder / "sentence_bert_config.json").get("max_seq_length") or limit
    limit = min(max_length, limit)
    tokenizer = _tokenizer(folder / "tokenizer.json", words, limit)
    if tokenizer is None or limit > longest:
        return None
    shape = Shape(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        config.get("layer_norm_eps", 1e-12),
    )
    weights = _weights(folder / "model.safetensors", shape)
    return None if weights is None else Bert(tokenizer, weights, shape, pooling)


def _folder(model: Model) -> Path | None:
    """Return the folder of a model's files, of a hub model only if it is known to lack nothing."""
    if model.revision is None:
        return Path(model.place)
    from huggingface_hub import try_to_load_from_cache

    # every repository of the hub has .gitattributes, which nobody fetches but who fetches all
    mark = try_to_load_from_cache(model.place, ".gitattributes", revision=model.revision)
    return Path(mark).parent if isinstance(mark, str) else None


def _json(path: Path) -> dict[str, Any]:
    """Return what a file says; nothing if there is none."""
    said: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return said


def _is_plain(config: Mapping[str, Any]) -> bool:
    """Say whether a ``config.json`` is that of a BERT as it was published."""
    architectures = config.get("architectures") or [""]
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act", "gelu") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not architectures[0].endswith("CausalLM")
        and not any(
            config.get(key)
            for key in ("is_decoder", "add_cross_attention", "quantization_config", "auto_map")
        )
        and {"max_position_embeddings", "num_hidden_layers", "num_attention_heads"} <= config.keys()
    )


def _pooling(folder: Path) -> Pooling | None:
    """Return how a model pools its states, or None if it does anything else to a text."""
    if not (folder / "modules.json").is_file():
        return "mean"
    modules: list[dict[str, Any]] = json.loads((folder / "modules.json").read_bytes())
    kinds = [str(module.get("type")) for module in modules]
    names = [kind.rpartition(".")[2] for kind in kinds]
    settings = _json(folder / "sentence_bert_config.json")
    packaging = _json(folder / "config_sentence_transformers.json")
    if (
        names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
        or not all(kind.startswith("sentence_transformers.") for kind in kinds)
        or modules[0].get("path")
        or any(module.get("kwargs") for module in modules)
        or {path.name for path in folder.glob("sentence_*_config.json")}
        - {"sentence_bert_config.json"}
        or any(
            value != _SETTINGS.get(key, value if key == "max_seq_length" else None)
            for key, value in settings.items()
        )
        or any(value for key, value in packaging.items() if key not in _PACKAGING)
        or packaging.get("model_type", "SentenceTransformer") != "SentenceTransformer"
    ):
        return None
    return _pooled(_json(folder / str(modules[1]["path"]) / "config.json"))


def _pooled(config: Mapping[str, Any]) -> Pooling | None:
    """Return what the one mode of a pooling is, or None if it has others or several."""
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    named = [_POOLED.get(mode, mode) for mode in modes]
    if "pooling_mode" in config:  # as it is written since sentence-transformers 5.5
        named = [config["pooling_mode"]]
    if named not in (["mean"], ["cls"]):
        return None
    return "mean" if named == ["mean"] else "cls"


def _tokenizer(path: Path, config: Mapping[str, Any], limit: int) -> "Tokenizer | None":
    """Return a tokenizer that cuts at ``limit``; None if ``transformers`` might make another."""
    from tokenizers import Tokenizer

    said = json.loads(path.read_bytes())
    kind = config.get("tokenizer_class")
    if kind in _OF_BERT:  # made anew of the vocabulary and of what the configuration says
        normalizer = {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
            "strip_accents": config.get("strip_accents"),
            "lowercase": config.get("do_lower_case", True),
        }
        is_same = (
            said["normalizer"] == normalizer
            and said["pre_tokenizer"] == {"type": "BertPreTokenizer"}
            and said["model"].get("type") == "WordPiece"
            and said["model"].get("continuing_subword_prefix") == "##"
            and said["model"].get("max_input_chars_per_word") == 100
        )
    else:
        is_same = kind in _AS_IN_ITS_FILE
    specials = [
        config.get(f"{name}_token", f"[{name.upper()}]" if kind in _OF_BERT else None)
        for name in _SPECIAL
    ]
    added = {token["content"] for token in said.get("added_tokens", ()) if token["special"]}
    if (
        not is_same
        or any(special is not None and special not in added for special in specials)
        or any(config.get(key) for key in ("additional_special_tokens", "extra_special_tokens"))
        or config.get("padding_side", "right") != "right"
        or config.get("truncation_side", "right") != "right"
    ):
        return None
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    probe = tokenizer.encode("a")
    first, last = (config.get(f"{name}_token", f"[{name.upper()}]") for name in ("cls", "sep"))
    if any(probe.type_ids) or (probe.tokens[0], probe.tokens[-1]) != (first, last):
        return None
    tokenizer.enable_truncation(limit)
    return tokenizer


def _weights(path: Path, shape: Shape) -> "dict[str, torch.Tensor] | None":
    """Return a BERT's weights by name, in float32, or None if some are not there."""
    import torch
    from safetensors import safe_open

    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    names += [f"embeddings.LayerNorm.{part}" for part in ("weight", "bias")]
    names += [
        f"encoder.layer.{number}.{name}.{part}"
        for number in range(shape.layers)
        for name in _PARTS
        for part in ("weight", "bias")
    ]
    with safe_open(path, framework="pt", device=device) as file:
        held = set(file.keys())
        prefix = "" if names[0] in held else "bert."  # as a part of a model with a head
        if not all(f"{prefix}{name}" in held for name in names):
            return None
        return {name: file.get_tensor(f"{prefix}{name}").float() for name in names}
