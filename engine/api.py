"""The names that a plug-in of your own may rely on; all else in ``engine`` can change.

    from engine.api import Asked, ConfigError, request

A strategy, a row filter, an engine or a trainer is a class in a module of yours, which a study
names as ``"module:Name"``. What each must have, and may, stands in its protocol: ``Strategy``,
``RowFilter``, ``TextEngine``, ``Trainer``. `jobs/studies/bike-shop/` has an example of three.

A plan asks plug-ins what they read, so importing this loads neither Ray nor torch nor transformers.
"""

from engine.curate.filter import Candidate, Context, RowFilter
from engine.errors import (
    ConfigError,
    DamagedError,
    DataError,
    EngineLostError,
    FormatError,
    InputError,
    ModelError,
    NoMemoryError,
    PluginError,
    RootError,
    RunFailedError,
    TextmillError,
    TrainingError,
    UnwritableError,
)
from engine.generate.engine import Completion, Prompt, Setup, TextEngine
from engine.models import Model, resolve_adapter, resolve_file, resolve_model
from engine.prompts.phrases import answer_form, examples, listed, request
from engine.prompts.strategy import Asked, Shot, Strategy
from engine.schema import Draws, RowId
from engine.steps.mix import Example
from engine.steps.pool import Pool
from engine.steps.run import Run
from engine.store.store import Store
from engine.study.config import CurateConfig, GenerateConfig, TrainConfig
from engine.study.resources import Resources
from engine.tasks.task import Split, Task
from engine.train.trainer import Hardware, RowSet, Trained, Trainer
from engine.train.world import World

__all__ = [
    "Asked",
    "Candidate",
    "Completion",
    "ConfigError",
    "Context",
    "CurateConfig",
    "DamagedError",
    "DataError",
    "Draws",
    "EngineLostError",
    "Example",
    "FormatError",
    "GenerateConfig",
    "Hardware",
    "InputError",
    "Model",
    "ModelError",
    "NoMemoryError",
    "PluginError",
    "Pool",
    "Prompt",
    "Resources",
    "RootError",
    "RowFilter",
    "RowId",
    "RowSet",
    "Run",
    "RunFailedError",
    "Setup",
    "Shot",
    "Split",
    "Store",
    "Strategy",
    "Task",
    "TextEngine",
    "TextmillError",
    "TrainConfig",
    "Trained",
    "Trainer",
    "TrainingError",
    "UnwritableError",
    "World",
    "answer_form",
    "examples",
    "listed",
    "request",
    "resolve_adapter",
    "resolve_file",
    "resolve_model",
]
