"""What answers prompts: the seam for engines, and their table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from engine.models import Model
from engine.plugins import PluginKind
from engine.prompts.strategy import strategy_class
from engine.steps.pool import Pool
from engine.store.schema import RowId
from engine.store.store import Store
from engine.study.config import GenerateConfig
from engine.study.resources import Resources
from engine.tasks.task import Task

ENGINES: Mapping[str, str] = {
    "vllm": "engine.generate.engines.vllm_engine:VllmEngine",
    "openai": "engine.generate.engines.openai_engine:OpenAIEngine",
    "transformers": "engine.generate.engines.transformers_engine:TransformersEngine",
    "recorded": "engine.generate.engines.recorded_engine:RecordedEngine",
    "verbatim": "engine.generate.engines.verbatim_engine:VerbatimEngine",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row to be answered.

    Attributes:
        row: The row's identity; random draws come from it.
        text: The prompt.
        pool: The pool it is for, with the recipe's settings.
    """

    row: RowId
    text: str
    pool: Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer. A row that could not be answered has ``error`` and an empty text.

    Attributes:
        row: The identity of the prompt that it answers.
        text: The raw completion.
        prompt_tokens: Tokens of the prompt; None where the engine counts none.
        completion_tokens: Tokens of the completion.
        finish_reason: "stop" (it ended by itself) or "length" (it was cut off).
        mean_logprob: Mean natural-log probability of the completion's tokens.
        cached_tokens: Tokens of the prompt whose work was found in the engine's prefix cache.
        error: Why there is no answer.
    """

    row: RowId
    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: Literal["stop", "length"] | None = None
    mean_logprob: float | None = None
    cached_tokens: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Setup:
    """What an engine is built from.

    Attributes:
        store: The root.
        config: A recipe; only the engine's ``starts_with`` fields count.
        resources: Where it runs, and how wide.
        model: The model, if it asks one.
        adapters: The LoRA adapters that recipes name.
        made_for: The study that rows are made for, as their segments note.
    """

    store: Store
    config: GenerateConfig
    resources: Resources
    model: Model | None
    adapters: Sequence[Model] = ()
    made_for: str = ""


class TextEngine(Protocol):
    """Built once per actor, where it runs. Answers come in any order.

    Attributes:
        reads: The fields of GenerateConfig that the engine reads, row by row or at its start.
        starts_with: Those that it reads at its start: pools that differ in them cannot share one.
        asks: Whether it reads prompts; if not, there is no strategy.
        uses_gpu: Whether it runs on a GPU where there is one.
        is_concurrent: Whether ``complete`` may be called from several threads at a time. If so it
            is, and the engine shares its room among them.

    One more it may have: ``runs_apart``, whether it can hang or crash, or holds memory that only
    the end of its process frees. Then it has a process of its own without Ray, too.
    """

    reads: ClassVar[frozenset[str]]
    starts_with: ClassVar[frozenset[str]]
    asks: ClassVar[bool]
    uses_gpu: ClassVar[bool]
    is_concurrent: ClassVar[bool]

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> Model | None:
        """Return the model that the engine asks, if any, after every check that can be made early.

        Raises:
            InputError: The recipe cannot be made with it.
        """
        ...

    def __init__(self, setup: Setup) -> None: ...

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once.

        Raises:
            InputError: The recipe cannot be made with it, which it takes the model to tell.
            EngineLostError: No answers will come from this engine any more.
            Exception: Any other, for some prompt: those without an answer are asked again in
                halves, and one that it raises for alone is a row with an error (``HalvingEngine``).
        """
        ...

    def close(self) -> None:
        """Let go of memory, processes and connections."""
        ...


NEEDS = ("reads", "starts_with", "asks", "uses_gpu", "is_concurrent", "model", "complete", "close")


engine_class = PluginKind[TextEngine]("engine", ENGINES, NEEDS, GenerateConfig.model_fields).load


def recipe_fields(config: GenerateConfig) -> set[str]:
    """Return the fields of a recipe that its engine and strategy read; only those identify it.

    Raises:
        PluginError: There is no such engine or strategy.
    """
    engine = engine_class(config.engine)
    fields = {"engine", *engine.reads}
    if engine.asks:
        fields |= {"strategy", "rephrase", *strategy_class(config.strategy).reads}
    return fields


def method_of(config: GenerateConfig | None) -> str | None:
    """Return how rows are asked for, in a word; None if there are none.

    Rows that nobody was asked for, such as recorded ones, are called by their engine.
    """
    if config is None:
        return None
    if not engine_class(config.engine).asks:
        return config.engine.rpartition(":")[2]
    name = config.strategy.rpartition(":")[2]
    return f"{name}_{config.shots}" if name == "few_shot" else name
