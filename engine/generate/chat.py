"""The model that an engine asks: found, and fit to be asked before anything starts."""

import json
from pathlib import Path

from engine.errors import ModelError
from engine.generate.embedded.scope import check_scope
from engine.models import Model, resolve_model
from engine.study.config import GenerateConfig
from engine.tasks.task import Task


def chat_model(task: Task, config: GenerateConfig) -> Model:
    """Return the model of a recipe.

    Raises:
        ModelError: It is not there, or has no chat template.
        ConfigError: It cannot be asked this.
    """
    model = resolve_model(config.model, config.revision, "generate.model")
    if model.revision is None:  # files of a hub model may still be on the hub
        folder = Path(model.place)
        if not _has_chat_template(folder):
            raise ModelError(
                f"generate.model is {config.model!r}, but its tokenizer has no chat template, so "
                "it cannot be given instructions. Name a model that was tuned to follow them."
            )
        check_scope(folder, task, config)
    return model


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(config.get("chat_template"))
