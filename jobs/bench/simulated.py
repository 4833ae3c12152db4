"""Studies with known answers: what conditions would predict whose true scores are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from engine.evaluate.bootstrap import Numbers
from engine.evaluate.trials import Arm, Trials
from engine.findings.findings import Findings, TaskFacts
from engine.store.schema import Metric

Random = np.random.Generator
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Simulation:
    """How trainings come out.

    A training of condition c on draw d and seed s gets row r right if ability(c) + draw(d, c) +
    seed(s, d, c) + ease(r) + noise > 0, all of them normal, the noise of variance 1; a wrong
    answer is any of the other labels.

    Attributes:
        rows: Test rows.
        labels: Labels, which are equally frequent.
        replicates: Draws of the data.
        repeats: Trainings on each.
        ease: Standard deviation of the ease of rows, which all conditions share.
        draw: Standard deviation of the draws of the data.
        seed: Standard deviation of the trainings.
    """

    rows: int = 1000
    labels: int = 2
    replicates: int = 1
    repeats: int = 5
    ease: float = 1.5
    draw: float = 0.0
    seed: float = 0.08

    @property
    def spread(self) -> float:
        """Standard deviation of all of it together."""
        return float(np.sqrt(1 + self.ease**2 + self.draw**2 + self.seed**2))

    def simulate(
        self, true: Sequence[float], random: Random, metric: Metric = "accuracy"
    ) -> Trials:
        """Return what conditions predict whose accuracies, on all rows there could be, are given.

        Macro-F1 is the same as accuracy there, as labels are alike.
        """
        return self.tried(true, random, metric)[0]

    def tried(
        self, true: Sequence[float], random: Random, metric: Metric = "accuracy"
    ) -> tuple[Trials, Floats, Floats]:
        """Return the same, and what is true of its very rows.

        Returns:
            The trials; each run's accuracy on validation rows of its own, shape (conditions,
            replicates, repeats); and each condition's expected accuracy on the test rows, shape
            (conditions,).
        """
        gold = random.integers(self.labels, size=self.rows)
        skill = self._skill(true, random)
        ease = self.ease * random.standard_normal(self.rows)
        validated = self._right(skill, self.ease * random.standard_normal(self.rows), random)
        arms, predicted = _as_arms(self._answers(self._right(skill, ease, random), gold, random))
        around = np.sqrt(1 + self.draw**2 + self.seed**2)
        expected = norm.cdf((self._ability(true)[:, None] + ease) / around).mean(axis=1)
        trials = Trials(gold, self.labels, arms, predicted, metric)
        return trials, validated.mean(axis=-1), expected

    def said(self, true: Sequence[float], gold: Numbers, random: Random) -> Numbers:
        """Return what conditions predict for rows of their own, shape (conditions, ..., rows)."""
        ease = self.ease * random.standard_normal(len(gold))
        return self._answers(self._right(self._skill(true, random), ease, random), gold, random)

    def _ability(self, true: Sequence[float]) -> Floats:
        return np.asarray(norm.ppf(true) * self.spread)

    def _skill(self, true: Sequence[float], random: Random) -> Floats:
        shape = (len(true), self.replicates, self.repeats)
        draws = self.draw * random.standard_normal((*shape[:2], 1))
        seeds = self.seed * random.standard_normal(shape)
        return np.asarray(self._ability(true)[:, None, None] + draws + seeds)

    def _answers(self, is_right: NDArray[np.bool_], gold: Numbers, random: Random) -> Numbers:
        wrong = (gold + random.integers(1, self.labels, size=is_right.shape)) % self.labels
        return np.where(is_right, gold, wrong).astype(np.int16)

    def _right(self, skill: Floats, ease: Floats, random: Random) -> NDArray[np.bool_]:
        noise = random.standard_normal((*skill.shape, len(ease)))
        return np.asarray(skill[..., None] + ease + noise > 0)


def _as_arms(said: Numbers) -> tuple[list[Arm], Mapping[str, Numbers]]:
    arms, predicted = [], {}
    for condition, of_condition in enumerate(said):
        runs: dict[int, dict[int, str]] = {}
        for replicate, of_draw in enumerate(of_condition):
            for repeat, answers in enumerate(of_draw):
                name = f"{condition}-{replicate}-{repeat}"
                predicted[name] = answers
                runs.setdefault(replicate, {})[repeat] = name
        arms.append(Arm(runs))
    return arms, predicted


def large_study(conditions: int) -> Findings:
    """Return a study of recipes, quantities and real rows, of 5 repeats and 2,000 test rows.

    Args:
        conditions: With synthetic rows, about; ten more are of real rows alone.
    """
    recipes = max(2, round(conditions / 100))
    rows = [100 * place for place in range(1, 11)]
    grid: list[tuple[str | None, int, int]] = [(None, 0, real) for real in rows]
    grid += [
        (f"recipe_{place}", quantity, real)
        for place in range(recipes)
        for quantity in rows
        for real in rows
    ]
    true = [
        0.6 + 0.05 * np.log10(1 + real) + 0.03 * np.log10(1 + quantity)
        for _, quantity, real in grid
    ]
    world, random = Simulation(rows=2000, repeats=5), np.random.default_rng(len(grid))
    # what a finished study has in its files, made up without them
    results, predicted = [], {}
    gold = random.integers(2, size=world.rows)
    for (recipe, quantity, real), accuracy in zip(grid, true, strict=True):
        said = world.said([accuracy], gold, random)[0, 0]
        for repeat, answers in enumerate(said):
            run = f"{recipe}-{quantity}-{real}-{repeat}"
            predicted[run] = answers
            results += [
                {
                    "task": "simulated",
                    "recipe": recipe,
                    "quantity": quantity,
                    "real": real,
                    "replicate": 0,
                    "repeat": repeat,
                    "split": split,
                    "accuracy": float(np.mean(answers == gold)),
                    "macro_f1": float(np.mean(answers == gold)),
                    "rows_synthetic": quantity,
                    "rows_real": real,
                    "rows_real_seen": real,
                    "train_seconds": 0.0,
                    "is_random": True,
                    "run": run,
                }
                for split in ("validation", "test")
            ]
    return Findings(
        name="simulated",
        tasks={"simulated": TaskFacts(["no", "yes"], {"test": world.rows})},
        factors=["recipe", "quantity", "real"],
        results=results,
        sources=[],
        repeats=5,
        replicates=1,
        runs=len(predicted),
        problems=[],
        settings={},
        recipe={},
        caveat="",
        drawless=[],
        gold={"simulated": gold.tolist()},
        predicted=predicted,
    )
