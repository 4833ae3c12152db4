"""What the embedded model is taught: prompts as textmill words them, and texts of the grammar.

The prompts come from the strategies themselves, with labels, topics and numbers of shots drawn at
random. Real rows, which prompts will show later, are not taught: their place is taken by texts of
the grammar, and by strange ones, so that the model learns to keep to the request whatever it is
shown.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.generate.embedded.grammar import Grammar, grammar
from engine.prompts.strategy import Asked, Shot, strategy_class
from engine.store.schema import Draws, RowId
from engine.study.config import GenerateConfig
from engine.tasks.task import Task, load_task

TASKS = ("demo-reviews", "demo-support")
STRATEGIES = {"zero_shot": 0.4, "topic": 0.37, "one_shot": 0.12, "few_shot": 0.11}  # and how often
LESSONS = 190_000  # how many the embedded model was taught, with the seed 0
LARGEST_SHOTS = 5
BANK = 3000  # texts to show, for each label
STRANGE = 0.6  # share of them that are not of the grammar
FOLLOWED = 0.5  # how often a text after several examples is about the first one's product
SYLLABLES = (
    *("ba", "co", "den", "fi", "gra", "hu", "il", "jo", "ka", "lor", "mi", "ne", "ost", "pe"),
    *("qui", "ra", "sto", "ten", "ur", "vi", "wan", "xe", "yl", "zo", "th", "ing", "ed", "ly"),
)


class Lesson(NamedTuple):
    """A prompt and the text that answers it."""

    prompt: str
    text: str


@dataclass(frozen=True)
class Shown:
    """A text that prompts may show, and its product; None for a strange text."""

    shot: Shot
    product: str | None


def demo_tasks() -> dict[str, Task]:
    """Return the demo tasks by name."""
    return {name: load_task(name, Path()) for name in TASKS}


def lessons(seed: int, count: int) -> Iterator[Lesson]:
    """Yield prompts with their answers; the same for the same seed."""
    tasks, words = demo_tasks(), grammar()
    banks = {name: _bank(task, words, seed) for name, task in tasks.items()}
    for number in range(count):
        draws = Draws("lesson", str(seed), str(number))
        task = tasks[draws.choice(TASKS)]
        yield _lesson(task, words, banks[task.name], draws, RowId(f"lesson-{seed}", "-", number))


def _lesson(
    task: Task, words: Grammar, bank: Mapping[str, list[Shown]], draws: Draws, row: RowId
) -> Lesson:
    label = draws.choice(list(task.labels))
    strategy = _weighted(STRATEGIES, draws)
    shots = 1 + draws.below(LARGEST_SHOTS)
    shown = [draws.choice(bank[other]) for other in task.labels]
    shown += [draws.choice(bank[draws.choice(list(task.labels))]) for _ in range(LARGEST_SHOTS)]
    config = GenerateConfig(strategy=strategy, shots=shots)
    kind = strategy_class(strategy)(task, config, [example.shot for example in shown])
    asked = kind.ask(RowId(row.pool, label, row.index))
    product = _product(asked, shown, draws) or draws.choice(words.products)
    return Lesson(asked.text, words.write(task.name, label, product, draws))


def _product(asked: Asked, shown: list[Shown], draws: Draws) -> str | None:
    """Return what the answer must be about; None where that is free."""
    if "topic" in asked.attributes:
        return str(asked.attributes["topic"])
    examples = asked.attributes.get("shots", [])
    if not examples or (len(examples) > 1 and draws.below(100) >= FOLLOWED * 100):
        return None
    return next(example.product for example in shown if example.shot.id == examples[0])


def _weighted(shares: Mapping[str, float], draws: Draws) -> str:
    place, total = draws.below(1000) / 1000, 0.0
    for name, share in shares.items():
        total += share
        if place < total:
            return name
    return name


def _bank(task: Task, words: Grammar, seed: int) -> dict[str, list[Shown]]:
    vocabulary = sorted({word for text in _samples(task, words, seed) for word in text.split()})
    bank: dict[str, list[Shown]] = {}
    for label in task.labels:
        bank[label] = []
        for number in range(BANK):
            draws = Draws("shown", str(seed), task.name, label, str(number))
            product = None if draws.below(100) < STRANGE * 100 else draws.choice(words.products)
            if product is None:
                text = _strange(vocabulary, draws)
            else:
                text = words.write(task.name, label, product, draws)
            bank[label].append(Shown(Shot(f"{label}-{number}", label, text, None), product))
    return bank


def _samples(task: Task, words: Grammar, seed: int) -> Iterator[str]:
    for number in range(500):
        draws = Draws("sample", str(seed), task.name, str(number))
        label = draws.choice(list(task.labels))
        yield words.write(task.name, label, draws.choice(words.products), draws)


def _strange(vocabulary: list[str], draws: Draws) -> str:
    """Return a text of known and invented words, as unlike the grammar as a real row may be."""
    makers: list[Callable[[], str]] = [
        lambda: draws.choice(vocabulary),
        lambda: "".join(draws.choice(SYLLABLES) for _ in range(1 + draws.below(4))),
        lambda: draws.choice(vocabulary).strip(".,!?").lower(),
        lambda: str(draws.below(10 ** (1 + draws.below(4)))),
    ]
    said = []
    for _ in range(4 + draws.below(32)):
        kind = draws.below(20)
        word = makers[0 if kind < 8 else 1 if kind < 16 else 2 if kind < 19 else 3]()
        said.append(word + ("", "", "", "", "", ",", ".", "!", "?", "'s")[draws.below(10)])
    text = " ".join(said)
    return text[0].upper() + text[1:] if draws.below(2) else text
