"""An engine that stands in for an LLM: it answers in the form that a prompt asks for, in words that
follow from the row alone. What it writes has no sense, but every prompt of every task has an answer
that can be parsed."""

import os
import re

from engine.generate.engine import Completion
from engine.models import Model

WORDS = [
    *("amber", "basket", "candle", "dragon", "engine", "feather", "garden", "hammer"),
    *("island", "jacket", "kettle", "ladder", "meadow", "needle", "orchard", "pepper"),
    *("quarry", "ribbon", "saddle", "tunnel", "umbrella", "valley", "window", "yogurt"),
]
LIST = re.compile(r"^List (\d+) ", re.MULTILINE)
FORM = re.compile(r"Answer in this form:\n((?:.+: \.\.\.\n?)+)")


class StandIn:
    """Writes what was asked for."""

    reads = frozenset({"model", "temperature"})
    starts_with = frozenset({"model"})
    asks = True
    uses_gpu = False
    is_concurrent = False

    @staticmethod
    def model(task, config):
        return Model("stand-in", None, "stand-in")

    def __init__(self, setup):
        pass

    def complete(self, prompts):
        for prompt in prompts:
            yield Completion(
                row=prompt.row,
                text=self.answer(prompt),
                finish_reason="stop",
                prompt_tokens=len(prompt.text.split()),
                completion_tokens=9,
            )

    def answer(self, prompt):
        draws = prompt.row.draws("stand-in")
        if match := LIST.search(prompt.text):
            topics = [self.words(draws, 2) for _ in range(int(match[1]))]
            return "Here are some topics:\n" + "\n".join(
                f"{number}. {topic}" for number, topic in enumerate(topics, 1)
            )
        if prompt.text.rstrip().rpartition("\n")[2].startswith("Answer with the label alone"):
            return draws.choice(list(prompt.pool.task.labels))
        if match := FORM.search(prompt.text):
            called = [line.partition(":")[0] for line in match[1].splitlines()]
            return "\n".join(f"{name}: {self.field(prompt, draws, name)}" for name in called)
        return self.text(prompt, draws)

    def field(self, prompt, draws, name):
        if name == prompt.pool.task.called_label:
            return draws.choice(list(prompt.pool.task.labels))
        return self.text(prompt, draws)

    def text(self, prompt, draws):
        place = (
            list(prompt.pool.task.labels).index(prompt.row.slot) if self.has_label(prompt) else 0
        )
        return f"the {self.words(draws, 6)} {prompt.row.index} {WORDS[place]}"

    def has_label(self, prompt):
        return prompt.row.slot in prompt.pool.task.labels

    def words(self, draws, count):
        return " ".join(draws.choice(WORDS) for _ in range(count))

    def close(self):
        pass


class Silent(StandIn):
    """Declines everything."""

    def answer(self, prompt):
        return "I'm sorry, but I can't help with that."


class Moody(StandIn):
    """Writes other texts, and now and then none, if the environment's MOOD says so."""

    def answer(self, prompt):
        mood = os.environ.get("MOOD", "")
        if mood and prompt.row.index % 5 == 0:
            return "I'm sorry, but I can't help with that."
        return f"{super().answer(prompt)}{mood and ' ' + mood}"


class Stubborn(StandIn):
    """Writes the first label of a task only."""

    def field(self, prompt, draws, name):
        is_label = name == prompt.pool.task.called_label
        return next(iter(prompt.pool.task.labels)) if is_label else self.text(prompt, draws)


class Copying(StandIn):
    """Writes a real passage now and then."""

    def answer(self, prompt):
        if prompt.pool.call == "first" and prompt.row.index % 7 == 0:
            return f"passage 2 of {prompt.row.index % 20}"
        return super().answer(prompt)


class Formal(StandIn):
    """Can be held to a form."""

    reads = StandIn.reads | {"structured"}


class Vague(StandIn):
    """Writes the second label of a task hardly ever, and now and then none at all."""

    def field(self, prompt, draws, name):
        if name != prompt.pool.task.called_label:
            return self.text(prompt, draws)
        index = prompt.row.index
        labels = list(prompt.pool.task.labels)
        return "hard to say" if index % 10 == 9 else labels[index % 8 == 0]


class EverySecond:
    """A row filter that refuses every second whole row."""

    reads = frozenset()
    compares = frozenset()
    remembers = True

    def __init__(self, context):
        self.seen = 0

    def __call__(self, row):
        self.seen += row.text_pair is not None
        return "second" if row.text_pair is not None and self.seen % 2 == 0 else None
