"""How good what a search finds is, and what it costs, on a problem whose answer is known.

The recipes are real rows that were made worse: labels are flipped, and texts repeated, at known
rates. What each is worth is the mean over many draws of it. A search sees one draw.
"""

import gzip
import json as jsonlib
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np

from engine.embeddings import Embeddings
from engine.errors import ConfigError, DataError
from engine.models import PACKAGED_ENCODER, resolve_model
from engine.nodes.session import ray_session
from engine.search.report.findings import grid_size, took, winner, would_take
from engine.search.search import SearchResult, search_study
from engine.status.spent import HOUR_S
from engine.store.store import Store
from engine.study.load import load_study
from engine.train.trainers.head import fit
from jobs.bench.machine import machine

FLIPPED = (0.0, 0.15, 0.3, 0.4)  # shares of rows that are asked for the other label
REPEATED = (0.0, 0.5, 0.8, 0.95)  # shares of rows that say what an earlier one said
RUNGS = (100, 300, 900)
LONGEST = 64  # tokens of a text
HELD_OUT = (1000, 1500)  # rows of validation and test
FIRST_SEED = 1000  # draws of searches are none of those that say what recipes are worth
TASK = """
name = "planted"
[labels]
{labels}
[fields]
text = "Text"
[wording]
request = "Write a text: {{label}}."
row = "{{text}}: {{label}}"
[splits]
train = "validation.jsonl"
validation = "validation.jsonl"
test = "test.jsonl"
"""
STUDY = """
name = "{name}"
task = "task.toml"
repeats = 1
[generate]
engine = "recorded"
[curate]
filters = []
[train]
trainer = "head"
max_length = {length}
[mix]
quantity = {quantity}
[resources]
share = "split"
[search]
{search}
{recipes}
"""
Row = tuple[str, str]  # text, label


class Recipe(NamedTuple):
    """One way of making rows worse."""

    flipped: float
    repeated: float

    @property
    def name(self) -> str:
        """What it is called."""
        return f"flipped {self.flipped:.0%}, repeated {self.repeated:.0%}"

    @property
    def file(self) -> str:
        """What files of its rows begin with."""
        return f"flipped-{100 * self.flipped:.0f}-repeated-{100 * self.repeated:.0f}"


RECIPES = [Recipe(flipped, repeated) for flipped in FLIPPED for repeated in REPEATED]


def bench_search(rows: Path, seeds: int, draws: int, json: bool) -> str:
    """Search a planted problem with many seeds, and as many times at random at equal cost.

    Args:
        rows: Labelled texts of two labels, JSON Lines, perhaps with gzip.
        seeds: Searches of each kind.
        draws: Draws of each recipe that say what it is worth.
        json: Whether figures are returned as JSON.
    """
    with tempfile.TemporaryDirectory() as folder, ray_session():
        figures = _measured(_Planted(Path(folder), _read(rows)), seeds, draws)
    return jsonlib.dumps(figures, indent=1) if json else _lines(figures)


class _Planted:
    """The problem, in a folder: held-out rows, and files of recipes as they are asked for."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self._folder = folder
        self.store = Store.open(f"{folder}/root")
        mixed = list(rows)
        random.Random(0).shuffle(mixed)
        validation, test = HELD_OUT
        self._labels = sorted({label for _, label in rows})
        labels = "\n".join(
            f"{jsonlib.dumps(label)} = {jsonlib.dumps(label)}" for label in self._labels
        )
        (folder / "task.toml").write_text(TASK.format(labels=labels), encoding="utf-8")
        self._validation, self._test = mixed[:validation], mixed[validation : validation + test]
        self._write("validation.jsonl", self._validation)
        self._write("test.jsonl", self._test)
        self._pool = mixed[validation + test :]
        for label in self._labels:
            have = sum(other == label for _, other in self._pool)
            if have < RUNGS[-1]:
                raise DataError(
                    f"Only {have} rows labelled {label!r} are left; {RUNGS[-1]} are needed."
                )

    def worth(self, draws: int) -> dict[Recipe, float]:
        """Return the mean score on test of each recipe at the last rung, over so many draws.

        Heads are fitted here, as the trainer of that name does it; what it embeds is kept under the
        root, where searches find it.
        """
        model = resolve_model(PACKAGED_ENCODER, "main", "train.model")
        embeddings = Embeddings(self.store, model, LONGEST)
        texts = [text for text, _ in [*self._pool, *self._test, *self._validation]]
        place = {text: at for at, text in enumerate(texts)}
        vectors = embeddings.vectors(texts).astype(np.float64)
        test = vectors[[place[text] for text, _ in self._test]]
        truth = np.array([label for _, label in self._test])
        worth: dict[Recipe, float] = {}
        for recipe in RECIPES:
            scores = []
            for draw in range(draws):
                rows = self._draw(recipe, draw)
                known = vectors[[place[text] for text, _ in rows]]
                numbers = [self._labels.index(label) for _, label in rows]
                said = fit(known, numbers, inverse_regularisation=1.0).predict(test)
                scores.append(float(np.mean(np.array(self._labels)[said] == truth)))
            worth[recipe] = mean(scores)
        return worth

    def search(self, seed: int, kind: str, settings: str) -> SearchResult:
        """Search one draw of all recipes."""
        recipes = random.Random(seed).sample(RECIPES, len(RECIPES))
        levels = []
        for recipe in recipes:
            file = f"{recipe.file}-{seed}.jsonl"
            if not (self._folder / file).exists():
                self._write(file, self._draw(recipe, FIRST_SEED + seed))
            levels.append(f'[[factors.recipe]]\nname = "{recipe.name}"\nrecords = "{file}"\n')
        path = self._folder / f"search-{seed}-{kind}.toml"
        text = STUDY.format(
            name=path.stem,
            quantity=RUNGS[-1],
            length=LONGEST,
            search=f"seed = {seed}\n{settings}",
            recipes="".join(levels),
        )
        path.write_text(text, encoding="utf-8")
        result = search_study(load_study(path, []), self.store, lambda _: None)
        print(f"{path.stem}: {result.hours * HOUR_S:.0f} s", file=sys.stderr, flush=True)
        return result

    def _draw(self, recipe: Recipe, draw: int) -> list[Row]:
        """Return one draw of a recipe's rows, as many of each label as the last rung needs."""
        chance = random.Random(f"{recipe.name} {draw}")
        texts = {
            label: [text for text, other in self._pool if other == label] for label in self._labels
        }
        for shuffled in texts.values():
            chance.shuffle(shuffled)
        rows: list[Row] = []
        for label in self._labels:
            others = [other for other in self._labels if other != label]
            said: list[str] = []
            for _ in range(RUNGS[-1] // len(self._labels)):
                if said and chance.random() < recipe.repeated:
                    said.append(chance.choice(said))
                else:
                    of = chance.choice(others) if chance.random() < recipe.flipped else label
                    said.append(texts[of].pop())
            rows += [(text, label) for text in said]
        return rows

    def _write(self, name: str, rows: Sequence[Row]) -> None:
        lines = (jsonlib.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
        (self._folder / name).write_text("".join(lines), encoding="utf-8")


def _measured(planted: _Planted, seeds: int, draws: int) -> dict[str, Any]:
    began = time.monotonic()
    worth = planted.worth(draws)
    worth_s = time.monotonic() - began
    rungs = f"rungs = {list(RUNGS)}\n"
    searches = [planted.search(seed, "rungs", rungs) for seed in range(seeds)]
    shares = [_shares(search) for search in searches]
    generated, trained = (mean(amounts) for amounts in zip(*shares, strict=True))
    whole = round(max(generated, trained) * len(RECIPES))  # trials that as many rows pay for
    at_random = f'rungs = [{RUNGS[-1]}]\nsampler = "random"\nmax_trials = {whole}\n'
    randoms = [planted.search(seed, "random", at_random) for seed in range(seeds)]
    regrets = [_regret(search, worth) for search in searches]
    at_random_regrets = [_regret(search, worth) for search in randoms]
    return {
        "recipes": len(RECIPES),
        "draws": draws,
        "worth": {recipe.name: round(100 * value, 1) for recipe, value in worth.items()},
        "worth_s": round(worth_s),
        "seeds": seeds,
        "regret": round(100 * mean(regrets), 2),
        "regret_sd": round(100 * stdev(regrets), 2),
        "regret_worst": round(100 * max(regrets), 2),
        "rows_generated": round(generated, 3),
        "rows_trained": round(trained, 3),
        "random_trials": whole,
        "random_regret": round(100 * mean(at_random_regrets), 2),
        "random_regret_sd": round(100 * stdev(at_random_regrets), 2),
        "seconds": round(time.monotonic() - began),
        "machine": machine(),
    }


def _shares(result: SearchResult) -> tuple[float, float]:
    """Return the rows generated and trained on, as shares of those of the whole grid."""
    amounts, whole, size = took(result), would_take(result), grid_size(result)
    assert size
    return (
        amounts.generated / (whole.generated * size / whole.trials),
        amounts.trained / (whole.trained * size / whole.trials),
    )


def _regret(result: SearchResult, worth: Mapping[Recipe, float]) -> float:
    """Return by how much what a search chose is worth less than the best."""
    best = winner(result)
    if best is None:
        raise DataError("A search came to nothing.")
    chosen = next(recipe for recipe in worth if recipe.name == best[0].point["recipe"])
    return max(worth.values()) - worth[chosen]


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        rows = [jsonlib.loads(line) for line in file if line.strip()]
    distinct = list(
        {str(row["text"]): (str(row["text"]), str(row["label"])) for row in rows}.values()
    )
    labels = {label for _, label in distinct}
    if len(labels) != 2:
        raise DataError(f"{path} has {len(labels)} labels; rows of two are needed.")
    return distinct


def _lines(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name:<18} {value}" for name, value in figures.items())
