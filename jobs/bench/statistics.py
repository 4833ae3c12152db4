"""Intervals and tests on simulated studies with known answers, and the time of a large study."""

import gc
import json as jsonlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from engine.evaluate.curve import Curve, equivalent, knee
from engine.evaluate.family import against, holm
from engine.evaluate.intervals import mean_interval
from engine.evaluate.trials import LEVEL
from engine.findings.analysis import analyse
from jobs.bench.machine import machine, peak_mib
from jobs.bench.simulated import Random, Simulation, large_study

SEED = 1979
FEW, MORE = Simulation(repeats=3), Simulation(repeats=5)
DRAWS = Simulation(replicates=5, repeats=2, draw=0.1)
LABELS = Simulation(repeats=5, labels=4)
SST2 = Simulation(repeats=5, rows=1821)  # as many test rows as SST-2 has
LEVELS = 12  # of a factor, or conditions to choose the best of
SAME, APART = 0.85, 0.03  # accuracy, and a difference of three points
RAW = ([100, 200, 400, 600, 1000], [0.70, 0.76, 0.80, 0.83, 0.85])  # rows, and accuracy with them
RESAMPLES = 1000
Trial = Callable[[Simulation, Random], bool]


class Figure(NamedTuple):
    """What was measured.

    Attributes:
        kind: "coverage", "false alarms" or "power".
        of: Of what.
        world: Draws and trainings.
        share: Of the simulated studies, 0 to 1.
    """

    kind: str
    of: str
    world: str
    share: float


def bench_statistics(simulations: int, conditions: int, json: bool) -> str:
    """Simulate studies whose true scores are known; return how often each claim holds.

    Args:
        simulations: Studies for each figure.
        conditions: Conditions of a study of 5 repeats and 2,000 test rows that is analysed whole,
            about; 0 for none.
        json: Whether it is told in JSON.
    """
    gc.freeze()  # statsmodels collects garbage at every family, and there are thousands
    measured = list(figures(simulations))
    large = _large(conditions) if conditions else {}
    if json:
        records = [figure._asdict() for figure in measured]
        whole = {
            "simulations": simulations,
            "figures": records,
            "large": large,
            "machine": machine(),
        }
        return jsonlib.dumps(whole, indent=1)
    lines = [f"{simulations} simulated studies for each figure"]
    lines += [
        f"{100 * figure.share:6.1f} %  {figure.kind:<12}  {figure.of}, {figure.world}"
        for figure in measured
    ]
    lines += [f"{name:<16} {value}" for name, value in {**large, "machine": machine()}.items()]
    return "\n".join(lines)


def figures(simulations: int) -> Iterator[Figure]:
    """Yield how often intervals cover, families give false alarms, and differences are shown."""
    for kind, of, trial, worlds in PLAN:
        for name, world in worlds.items():
            random = np.random.default_rng(SEED)
            hits = sum(trial(world, random) for _ in range(simulations))
            yield Figure(kind, of, name, hits / simulations)


def _mean_by_t(world: Simulation, random: Random) -> bool:
    values, expected = _repeats(world, random)
    mean = mean_interval(values)
    return bool((mean.low or 0) <= expected <= (mean.high or 0))


def _mean_by_bootstrap(world: Simulation, random: Random) -> bool:
    values, expected = _repeats(world, random)
    drawn = random.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    return _holds(drawn, expected)


def _repeats(world: Simulation, random: Random) -> tuple[list[float], float]:
    """Return a condition's scores, and what they would be on average on the same test rows."""
    trials, _, expected = world.tried([SAME], random)
    return trials.values(0), float(expected[0])


def _holds(drawn: np.ndarray[Any, Any], value: float) -> bool:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return bool(low <= value <= high)


def _difference(world: Simulation, random: Random) -> bool:
    estimate = world.simulate([SAME, SAME - APART], random).contrast({0: 1.0, 1: -1.0})
    return bool(estimate and estimate.low <= APART <= estimate.high)


def _difference_of_f1(world: Simulation, random: Random) -> bool:
    trials = world.simulate([SAME, SAME - APART], random, "macro_f1")
    estimate = trials.contrast({0: 1.0, 1: -1.0})
    return bool(estimate and estimate.low <= APART <= estimate.high)


def _difference_of_cells(world: Simulation, random: Random) -> bool:
    """Four pairs of conditions, of different difficulty, whose mean difference is known."""
    true = [SAME - 0.02 * place for place in range(4)]
    trials = world.simulate([*true, *(score - APART for score in true)], random)
    estimate = trials.contrast({place: 0.25 if place < 4 else -0.25 for place in range(8)})
    return bool(estimate and estimate.low <= APART <= estimate.high)


def _difference_by_bootstrap(world: Simulation, random: Random) -> bool:
    """Resample rows, and trainings of each side, and take the percentiles."""
    trials = world.simulate([SAME, SAME - APART], random)
    moved = [trials.moved(arm) + np.array(trials.values(arm))[:, None] for arm in (0, 1)]
    sides = []
    for scores in moved:
        runs, resamples = scores.shape
        places = random.integers(runs, size=(runs, resamples))
        sides.append(np.take_along_axis(scores, places, axis=0).mean(axis=0))
    return _holds(sides[0] - sides[1], APART)


def _worth(world: Simulation, random: Random) -> bool:
    rows, scores = RAW
    trials = world.simulate([*scores, 0.78], random)
    reach = equivalent(trials, Curve(rows, range(len(rows))), len(rows))
    return bool(reach and reach.low <= _rows_at(0.78) <= reach.high)


def _knee(world: Simulation, random: Random) -> bool:
    rows, scores = RAW
    reach = knee(world.simulate(scores, random), Curve(rows, range(len(rows))))
    return bool(reach and reach.low <= _rows_at(scores[-1] - 0.01) <= reach.high)


def _rows_at(score: float) -> float:
    rows, scores = RAW
    return float(np.exp(np.interp(score, scores, np.log(rows))))


def _factor_alarm(world: Simulation, random: Random) -> bool:
    trials = world.simulate([SAME] * LEVELS, random)
    estimates = [trials.contrast({level: 1.0, 0: -1.0}) for level in range(1, LEVELS)]
    return any(tested.is_shown for tested in holm([tested for tested in estimates if tested]))


def _leader_alarm(world: Simulation, random: Random) -> bool:
    return bool(_shown_against_leader([SAME] * LEVELS, world, random))


def _leader_power(world: Simulation, random: Random) -> bool:
    """One of all is worse by so much; is it shown to be behind the leader?"""
    return LEVELS - 1 in _shown_against_leader(
        [SAME] * (LEVELS - 1) + [SAME - APART], world, random
    )


def _shown_against_leader(true: Sequence[float], world: Simulation, random: Random) -> list[int]:
    trials, validated, _ = world.tried(true, random)
    leader = int(validated.mean(axis=(1, 2)).argmax())
    others = [place for place in range(len(true)) if place != leader]
    tested = against(trials, leader, others)
    return [place for place, test in zip(others, tested, strict=True) if test and test.is_shown]


def _power(world: Simulation, random: Random) -> bool:
    estimate = world.simulate([SAME, SAME - APART], random).contrast({0: 1.0, 1: -1.0})
    return bool(estimate and holm([estimate])[0].is_shown)


REPEATS = {"3 repeats": FEW, "5 repeats": MORE}
ALL = {**REPEATS, "5 replicates of 2": DRAWS}
NOISY = {
    "3 repeats, noisy trainings": replace(FEW, seed=0.3),
    "5 repeats, noisy trainings": replace(MORE, seed=0.3),
}
PLAN: Sequence[tuple[str, str, Trial, dict[str, Simulation]]] = (
    ("coverage", "mean, t", _mean_by_t, REPEATS),
    ("coverage", "mean, bootstrap over repeats (not used)", _mean_by_bootstrap, REPEATS),
    ("coverage", "difference", _difference, {**ALL, **NOISY}),
    ("coverage", "difference of macro-F1", _difference_of_f1, {"5 repeats, 4 labels": LABELS}),
    ("coverage", "mean difference of 4 pairs", _difference_of_cells, ALL),
    (
        "coverage",
        "difference, bootstrap over rows and repeats (not used)",
        _difference_by_bootstrap,
        {**REPEATS, **NOISY},
    ),
    ("coverage", "worth in real rows", _worth, ALL),
    ("coverage", "knee", _knee, ALL),
    ("false alarms", f"{LEVELS} levels of a factor", _factor_alarm, {**ALL, **NOISY}),
    ("false alarms", f"best of {LEVELS} against all", _leader_alarm, {**ALL, **NOISY}),
    ("power", "3 points, two levels", _power, {**ALL, "5 repeats, 1,821 rows": SST2}),
    (
        "power",
        f"3 points, best of {LEVELS} against one",
        _leader_power,
        {**ALL, "5 repeats, 1,821 rows": SST2},
    ),
)


def _large(conditions: int) -> dict[str, Any]:
    findings = large_study(conditions)
    started = time.monotonic()
    (analysis,) = analyse(findings)
    return {
        "conditions": len(analysis.conditions),
        "comparisons": sum(comparison is not None for comparison in analysis.others)
        + sum(len(factor.effects) for factor in analysis.factors),
        "knees": len(analysis.knees),
        "worths": len(analysis.worths),
        "seconds": round(time.monotonic() - started, 1),
        "peak_mib": round(peak_mib()),
    }
