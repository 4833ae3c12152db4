"""What ``gpu.sh`` needs besides the measurements: models without weights, and a summary."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from engine.models import embedded_folder

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
GENERATORS: dict[str, dict[str, Any]] = {
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
}
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
ENCODER: dict[str, Any] = {  # all-MiniLM-L6-v2's size
    "hidden_size": 384,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
}
SMALL_ENCODER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
GENERATOR_VOCABULARY, ENCODER_VOCABULARY = 32_000, 30_522  # as large as such models'


def write_models(folder: Path, *, is_small: bool) -> None:
    """Write generators without weights, and a classifier with random ones.

    Each has the tokenizer of the model that comes with textmill: rows are of its words, and the
    other entries of the vocabulary are there for their cost alone.

    Args:
        folder: Each gets a folder of its name in it: 1b, 7b, encoder.
        is_small: Whether they are of a size for a CPU, to see that all works.
    """
    import torch
    from transformers import BertConfig, BertModel, LlamaConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for name, size in GENERATORS.items():
        config: Any = LlamaConfig(
            **(SMALL if is_small else size),
            vocab_size=GENERATOR_VOCABULARY,
            max_position_embeddings=4096,
            eos_token_id=1,
            pad_token_id=0,
            bos_token_id=None,
        )
        config.architectures = ["LlamaForCausalLM"]
        config.dtype = torch.float32 if is_small else torch.bfloat16
        config.save_pretrained(_with_tokenizer(folder / name))
    torch.manual_seed(0)
    encoder = BertModel(
        BertConfig(
            **(SMALL_ENCODER if is_small else ENCODER),
            vocab_size=ENCODER_VOCABULARY,
            max_position_embeddings=1024,  # as many as the tokenizer lets a text have
            pad_token_id=0,
        )
    )
    encoder.save_pretrained(_with_tokenizer(folder / "encoder"))


def _with_tokenizer(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER:
        shutil.copy(embedded_folder() / name, folder / name)
    return folder


def summary(folder: Path) -> str:
    """Say in a line each what the measurements of a folder came to: NAME.json."""
    lines = [
        f"{path.stem:<14} {_figures(json.loads(text))}"
        for path in sorted(folder.glob("*.json"))
        if (text := path.read_text(encoding="utf-8").strip())  # empty if it was cut off
    ]
    return "\n".join(lines)


def _figures(figures: dict[str, Any]) -> str:
    if "rows_per_s" in figures:
        speeds, ratios, unit = figures["rows_per_s"], figures["textmill_to"], "rows/s"
    else:
        speeds, ratios, unit = figures["seconds"], figures["ratio"], "s"
    return ", ".join(
        f"{name} {speed} {unit}" + (f" (ratio {ratios[name]})" if name in ratios else "")
        for name, speed in speeds.items()
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("models", "summary"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="Models for a CPU.")
    args = parser.parse_args()
    if args.part == "models":
        write_models(args.folder, is_small=args.small)
    else:
        print(summary(args.folder))
