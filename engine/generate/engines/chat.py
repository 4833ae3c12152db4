"""The model that an engine asks: found, and fit to be asked before anything starts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.generate.embedded.scope import check_scope
from engine.models import Model, resolve_model
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


def chat_model(task: Task, config: GenerateConfig, *, needs_weights: bool = True) -> Model:
    """Return the model of a recipe.

    Args:
        task: The task.
        config: The recipe.
        needs_weights: Whether the model's weights must be there.

    Raises:
        ModelError: It is not there, or has no chat template.
        ConfigError: It cannot be asked this.
    """
    model = resolve_model(
        config.model, config.revision, "generate.model", needs_weights=needs_weights
    )
    if not _has_chat_template(model):
        raise ModelError(
            f"generate.model is {config.model!r}, but its tokenizer has no chat template, so it "
            "cannot be given instructions. Name a model that was tuned to follow them."
        )
    if model.revision is None:
        check_scope(Path(model.place), task, config)
    return model


def chat_tokens(tokenizer: Any, text: str, template_args: Mapping[str, Any]) -> list[int]:  # noqa: ANN401 - any tokenizer of transformers'
    """Return a prompt in tokens, as the model's chat template puts it.

    Args:
        tokenizer: The model's tokenizer.
        text: What the user says.
        template_args: What the template takes besides, such as ``enable_thinking``.
    """
    whole = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}],
        tokenize=False,
        add_generation_prompt=True,
        **template_args,
    )
    tokens: list[int] = tokenizer(whole, add_special_tokens=False)["input_ids"]
    return tokens


def _has_chat_template(model: Model) -> bool:
    if any(_file(model, name) for name in ("chat_template.jinja", "chat_template.json")):
        return True
    path = _file(model, "tokenizer_config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path else {}
    except ValueError:
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))


def _file(model: Model, name: str) -> Path | None:
    """Return a small file of a model, fetched from the hub if it is not in the cache yet."""
    if model.revision is None:
        path = Path(model.place, name)
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(model.place, name, revision=model.revision))
    except EntryNotFoundError:  # on the hub, or in a cache that cannot ask the hub
        return None
    except OSError as error:  # HTTP errors of the hub among them
        raise ModelError(
            f"generate.model is {model.place!r}, but {name} cannot be fetched from the hub: "
            f"{error} If it is gated, accept its licence there and log in with `hf auth login`."
        ) from error
