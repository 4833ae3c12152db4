"""What a model that knows only some prompts can be asked, and the refusal of everything else.

Such a model's folder holds ``textmill.json``: the tasks by a hash of how textmill words their
prompts, the strategies, the topics, and how many examples a prompt may show. The embedded model
writes nothing sensible on other prompts, so these are refused when a study is planned.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.errors import ConfigError, ModelError
from engine.fingerprint import digest
from engine.prompts.strategy import Shot, strategy_class
from engine.store.schema import RowId
from engine.study.config import GenerateConfig, WrittenTopics
from engine.tasks.task import Task
from engine.tasks.toml_files import Written

SCOPE = "textmill.json"


class Scope(Written):
    """What a model was taught.

    Attributes:
        tasks: The tasks' names, and how their prompts are worded: see ``wording_digest``.
        strategies: The strategies.
        topics: The topics of the strategy ``topic``.
        shots: Most examples in a prompt.
        seed: What its lessons were drawn from.
        lessons: How many they were.
    """

    tasks: dict[str, str]
    strategies: list[str]
    topics: list[str]
    shots: int
    seed: int
    lessons: int


def load_scope(folder: Path) -> Scope | None:
    """Return the scope of a model's folder; None for a model that can be asked anything.

    Raises:
        ModelError: Its file is damaged.
    """
    path = folder / SCOPE
    if not path.is_file():
        return None
    try:
        return Scope.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path} is damaged; install the model again.") from error


def wording_digest(task: Task, strategies: Iterable[str]) -> str:
    """Return a hash of how prompts of a task are worded, whatever rows they show."""
    return digest(list(_sample_prompts(task, strategies)))


def _sample_prompts(task: Task, strategies: Iterable[str]) -> Iterator[str]:
    pair = "<pair>" if "text_pair" in task.fields else None
    shots = [Shot(label, label, "<text>", pair) for label in task.labels]
    for strategy in strategies:
        config = GenerateConfig(strategy=strategy, shots=2, topics=["<topic>"])
        kind = strategy_class(strategy)(task, config, shots)
        for label in task.labels:
            yield kind.ask(RowId("scope", label, 0)).text


def check_scope(folder: Path, task: Task, config: GenerateConfig) -> None:
    """Refuse what a model was not taught.

    Raises:
        ConfigError: The study asks for something else.
        ModelError: The file that says what it was taught is damaged.
    """
    scope = load_scope(folder)
    if scope is None:
        return
    toy = f"generate.model is {config.model!r}, a toy that can only be asked what it was taught: "
    advice = "Name another model to go beyond it."
    hint = ' To replay generate.records: generate.engine = "recorded".' if config.records else ""
    if wording_digest(task, scope.strategies) not in scope.tasks.values():
        raise ConfigError(
            f"{toy}the tasks {', '.join(scope.tasks)}, worded as they are. {task.name!r} is "
            f"another task, or worded in another way. {advice}{hint}"
        )
    if config.strategy not in scope.strategies:
        raise ConfigError(
            f"{toy}the strategies {', '.join(scope.strategies)}; generate.strategy is "
            f"{config.strategy!r}. {advice}"
        )
    if config.labelling != "conditioned" or config.rephrase:
        raise ConfigError(
            f"{toy}one call for a row, which names its label; generate.labelling is "
            f"{config.labelling!r}, generate.rephrase {str(config.rephrase).lower()}. {advice}"
        )
    if config.strategy == "topic" and isinstance(config.topics, WrittenTopics):
        raise ConfigError(f"{toy}no list of topics is among it, as generate.topics wants. {advice}")
    topics = config.topics if isinstance(config.topics, list) else task.topics or []
    strange = sorted(set(topics) - set(scope.topics))
    if config.strategy == "topic" and strange:
        raise ConfigError(
            f"{toy}the topics that `textmill tasks {next(iter(scope.tasks))}` lists; "
            f"{strange[0]!r} is none of them. {advice}"
        )
    if config.strategy == "few_shot" and config.shots > scope.shots:
        raise ConfigError(
            f"{toy}prompts with at most {scope.shots} examples; generate.shots is "
            f"{config.shots}. {advice}"
        )
