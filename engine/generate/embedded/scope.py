"""What a model that knows only some prompts can be asked, and the refusal of everything else.

Such a model's folder holds ``textmill.json``: the tasks by a hash of how textmill words their
prompts, the strategies, the topics, and how many examples a prompt may show. The embedded model
writes nothing sensible on other prompts, so these are refused when a study is planned.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ConfigError
from engine.fingerprint import digest
from engine.generate.embedded.grammar import grammar
from engine.generate.embedded.lessons import LARGEST_SHOTS, STRATEGIES, demo_tasks
from engine.prompts.strategy import Shot, strategy_class
from engine.schema import RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task

SCOPE = "textmill.json"


def write_scope(folder: Path) -> None:
    """Write down what a model that was taught the lessons can be asked."""
    scope = {
        "tasks": {name: wording_digest(task) for name, task in demo_tasks().items()},
        "strategies": list(STRATEGIES),
        "topics": grammar().products,
        "shots": LARGEST_SHOTS,
    }
    text = json.dumps(scope, indent=1) + "\n"
    (folder / SCOPE).write_text(text, encoding="utf-8")


def wording_digest(task: Task) -> str:
    """Return a hash of how prompts of a task are worded, whatever rows they show."""
    return digest(list(_sample_prompts(task)))


def _sample_prompts(task: Task) -> Iterator[str]:
    pair = "<pair>" if "text_pair" in task.fields else None
    shots = [Shot(label, label, "<text>", pair) for label in task.labels]
    for strategy in STRATEGIES:
        config = GenerateConfig(strategy=strategy, shots=2, topics=["<topic>"])
        kind = strategy_class(strategy)(task, config, shots)
        for label in task.labels:
            yield kind.ask(RowId("scope", label, 0)).text


def check_scope(folder: Path, task: Task, config: GenerateConfig) -> None:
    """Refuse what a model was not taught; a model without a scope can be asked anything.

    Raises:
        ConfigError: The study asks for something else.
    """
    path = folder / SCOPE
    if not path.is_file():
        return
    scope = json.loads(path.read_text(encoding="utf-8"))
    toy = f"generate.model is {config.model!r}, a toy that can only be asked what it was taught: "
    advice = "Name another model to go beyond it."
    if wording_digest(task) not in scope["tasks"].values():
        raise ConfigError(
            f"{toy}the tasks {', '.join(scope['tasks'])}, worded as they are. {task.name!r} is "
            f"another task, or worded in another way. {advice}"
        )
    if config.strategy not in scope["strategies"]:
        raise ConfigError(
            f"{toy}the strategies {', '.join(scope['strategies'])}; generate.strategy is "
            f"{config.strategy!r}. {advice}"
        )
    strange = sorted(set(config.topics or task.topics or []) - set(scope["topics"]))
    if config.strategy == "topic" and strange:
        raise ConfigError(
            f"{toy}the topics that `textmill tasks {next(iter(scope['tasks']))}` lists; "
            f"{strange[0]!r} is none of them. {advice}"
        )
    if config.strategy == "few_shot" and config.shots > scope["shots"]:
        raise ConfigError(
            f"{toy}prompts with at most {scope['shots']} examples; generate.shots is "
            f"{config.shots}. {advice}"
        )
