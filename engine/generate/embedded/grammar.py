"""The demo's grammar: the texts that the embedded model has learned to write.

``products.toml`` and ``texts.toml`` hold the words; here they are put together. Everything that is
drawn follows from the Draws that are passed in, so a text can be made again from its name.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from string import Formatter
from typing import Any

from engine.store.schema import Draws

CLAUSES = {"good": "positive", "bad": "negative", "meh": "neutral"}


@dataclass(frozen=True)
class Grammar:
    """What texts are made of.

    Attributes:
        categories: For each category its ``products`` and what one may want to do, ``how_to``.
        aspects: For each aspect its ``categories``, the ``words`` that name it, and clauses by
            mood: ``positive``, ``negative``, ``neutral``.
        slots: What can stand for each further slot.
        tasks: For each task its ``plans`` and ``parts``, for each label and for all.
    """

    categories: Mapping[str, Mapping[str, Sequence[str]]]
    aspects: Mapping[str, Mapping[str, Sequence[str]]]
    slots: Mapping[str, Sequence[str]]
    tasks: Mapping[str, Mapping[str, Any]]

    @cached_property
    def category_of(self) -> Mapping[str, str]:
        """Each product's category."""
        return {
            product: name
            for name, category in self.categories.items()
            for product in category["products"]
        }

    @property
    def products(self) -> list[str]:
        """What texts can be about: the topics of the demo tasks."""
        return list(self.category_of)

    def write(self, task: str, label: str, product: str, draws: Draws) -> str:
        """Write a text.

        Args:
            task: "demo-reviews" or "demo-support".
            label: One of the task's labels.
            product: One of ``products``.
            draws: Where every choice comes from.
        """
        return _Writer(self, task, label, product, draws).text()

    def slips(self, text: str) -> bool | None:
        """Tell whether a text gives its product what belongs to another category.

        That is an aspect, by its words, or something that one may want to do with it; and a text
        that speaks of several products is a slip in any case.

        Returns:
            None if the text names no product, or nothing that belongs to a category.
        """
        lowered = text.lower()
        named = [product for product in self.products if re.search(rf"\b{product}\b", lowered)]
        named = [
            product
            for product in named
            if not any(product in other for other in named if other != product)
        ]
        if len(named) != 1:
            return True if named else None
        rest = lowered.replace(named[0], " ")
        words = set(re.findall(r"\w+", rest))
        allowed = [
            aspect["categories"] for aspect in self.aspects.values() if words & set(aspect["words"])
        ]
        for name, category in self.categories.items():
            allowed += [[name] for how in category["how_to"] if how.lower() in rest]
        if not allowed:
            return None
        return any(self.category_of[named[0]] not in categories for categories in allowed)

    def covers(self, text: str) -> bool:
        """Tell whether every sentence of a text is one that the grammar can write."""
        return all(self.covers_sentence(sentence) for sentence in sentences(text))

    def covers_sentence(self, sentence: str) -> bool:
        """Tell whether a sentence is one that the grammar can write, whatever it is about."""
        return bool(self._any_sentence.fullmatch(sentence.strip()))

    @cached_property
    def _any_sentence(self) -> re.Pattern[str]:
        frames = {
            sentence
            for task in self.tasks.values()
            for parts in _part_lists(task["parts"])
            for frame in parts
            for sentence in sentences(frame)
        }
        greetings = [frame for frame in frames if frame.endswith(",")]
        greeted = "|".join(map(re.escape, greetings))
        known = "|".join(map(self._pattern, sorted(frames)))
        return re.compile(rf"(?:(?:{greeted})\s+)?(?:{known})", re.IGNORECASE)

    def _pattern(self, frame: str) -> str:
        patterns = []
        for literal, slot, _, _ in Formatter().parse(frame):
            patterns.append(re.escape(literal))
            if slot:
                patterns.append(f"(?:{'|'.join(map(re.escape, self._all_fillers(slot.lower())))})")
        return "".join(patterns)

    def _all_fillers(self, slot: str) -> list[str]:
        if slot == "product":
            return self.products
        if slot == "a_product":
            return list(map(_with_article, self.products))
        if slot == "how":
            return [how for category in self.categories.values() for how in category["how_to"]]
        if slot in CLAUSES:
            return [text for aspect in self.aspects.values() for text in aspect[CLAUSES[slot]]]
        return list(self.slots[slot])


class _Writer:
    """Writes one text; knows what it has said already."""

    def __init__(self, grammar: Grammar, task: str, label: str, product: str, draws: Draws) -> None:
        self._grammar, self._draws, self._product = grammar, draws, product
        self._plans = grammar.tasks[task]["plans"]
        parts = grammar.tasks[task]["parts"]
        shared = {name: part for name, part in parts.items() if isinstance(part, list)}
        self._parts: dict[str, list[str]] = {**shared, **parts[label]}
        self._category = grammar.category_of[product]
        aspects = [
            aspect for aspect in grammar.aspects.values() if self._category in aspect["categories"]
        ]
        self._aspects = draws.shuffled(aspects)
        self._used: set[str] = set()

    def text(self) -> str:
        frames = self._frames(self._draws.choice(self._plans))
        filled = [self._filled(frame) for frame in frames]
        return " ".join(_begun(sentence, filled[:place]) for place, sentence in enumerate(filled))

    def _frames(self, plan: Sequence[str]) -> list[str]:
        """Draw a frame for each part, so that the category has an aspect for each clause."""
        chosen: list[str] = []
        remaining = len(self._aspects)
        for place, part in enumerate(plan):
            later = sum(min(map(_clauses, self._parts[other])) for other in plan[place + 1 :])
            fit = [frame for frame in self._parts[part] if _clauses(frame) <= remaining - later]
            chosen.append(self._draws.choice([frame for frame in fit if frame not in chosen]))
            remaining -= _clauses(chosen[-1])
        return chosen

    def _filled(self, frame: str) -> str:
        pieces = []
        for literal, slot, _, _ in Formatter().parse(frame):
            pieces.append(literal)
            if slot:
                filler = self._filler(slot.lower())
                pieces.append(filler[0].upper() + filler[1:] if slot[0].isupper() else filler)
        return "".join(pieces)

    def _filler(self, slot: str) -> str:
        if slot == "product":
            return self._product
        if slot == "a_product":
            return _with_article(self._product)
        if slot == "how":
            return self._new(self._grammar.categories[self._category]["how_to"])
        if slot in CLAUSES:
            return self._draws.choice(self._aspects.pop()[CLAUSES[slot]])
        return self._new(self._grammar.slots[slot])

    def _new(self, items: Sequence[str]) -> str:
        """Draw what this text has not said yet."""
        chosen = self._draws.choice([item for item in items if item not in self._used])
        self._used.add(chosen)
        return chosen


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


@cache
def _clauses(frame: str) -> int:
    """Return how many aspects a frame speaks of."""
    return sum((slot or "").lower() in CLAUSES for _, slot, _, _ in Formatter().parse(frame))


def _begun(text: str, before: Sequence[str]) -> str:
    """Begin a sentence with a capital letter, but after a greeting's comma."""
    if before and before[-1].endswith(","):
        return text if text.startswith("I ") else text[0].lower() + text[1:]
    return text[0].upper() + text[1:]


def _part_lists(parts: Mapping[str, Any]) -> Iterator[list[str]]:
    for part in parts.values():
        if isinstance(part, list):
            yield part
        else:
            yield from part.values()


def sentences(text: str) -> list[str]:
    """Split a text after full stops, question marks and exclamation marks."""
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", text) if sentence]


@cache
def grammar() -> Grammar:
    """Return the demo's grammar."""
    folder = files("engine.generate.embedded")
    products = tomllib.loads((folder / "products.toml").read_text(encoding="utf-8"))
    texts = tomllib.loads((folder / "texts.toml").read_text(encoding="utf-8"))
    return Grammar(
        categories=products["category"],
        aspects=products["aspect"],
        slots=texts["slots"],
        tasks={"demo-reviews": texts["reviews"], "demo-support": texts["support"]},
    )
