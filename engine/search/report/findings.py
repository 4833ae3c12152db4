"""What a search found: its winner, what it cost beside the whole grid, and which factors matter."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from engine.evaluate.intervals import Mean, mean_interval
from engine.search.dimension import Dimension
from engine.search.identities import IdentityMap
from engine.search.sampler import quieten_optuna
from engine.search.search import SearchResult
from engine.search.trial_book import Measured, Trial
from engine.study.factors import Level

PARTS = 3  # into which a range is cut to show how its values did
FEW = 10  # trials, below which a factor's importance says nothing
TREES_SEED = 0


class Amounts(NamedTuple):
    """What some trials took, or would.

    Attributes:
        trials: How many.
        generated: Accepted synthetic rows asked for, each pool counted once.
        trained: Synthetic rows trained on, all rungs and repeats together.
        tokens: Tokens of prompts and completions; 0 where the engine counts none.
        seconds: Of engines, without starts, and of training.
    """

    trials: int
    generated: float
    trained: float
    tokens: float
    seconds: float


class Part(NamedTuple):
    """How the trials did that have one level, or a value in one part of a range.

    Attributes:
        level: The level, or the part in words.
        trials: How many.
        score: Mean on validation at the first rung.
    """

    level: str
    trials: int
    score: float


class FactorFound(NamedTuple):
    """What trials at the first rung, which all have seen, say of a factor.

    Attributes:
        name: The factor.
        trials: How many it applies to.
        share: Its share of the variance of scores, 0 to 1, by fANOVA; None if too few trials vary.
        parts: How its levels did.
    """

    name: str
    trials: int
    share: float | None
    parts: list[Part]


class OnFront(NamedTuple):
    """A measurement than which no other is both better and cheaper.

    Attributes:
        trial: The trial.
        measured: What it came to.
        test: The metric on test.
    """

    trial: Trial
    measured: Measured
    test: Mean


def winner(result: SearchResult) -> tuple[Trial, Measured] | None:
    """Return the trial that is best on validation at the highest rung that any came to.

    Of equals the first. Test scores have no say, so that the winner's is no selected one.
    """
    measured = [(trial, trial.last) for trial in result.trials.values() if trial.last]
    if not measured:
        return None
    top = max(last.rows for _, last in measured)
    best = [(trial, last) for trial, last in measured if last.rows == top]
    return min(best, key=lambda pair: (-pair[1].score, pair[0].number))


def test_score(measured: Measured) -> Mean:
    """Return the metric on test with its interval over independent draws."""
    return mean_interval(measured.test)


def took(result: SearchResult) -> Amounts:
    """Return what the search took.

    Trials that differ in training alone share a pool, whose rows count once.
    """
    pools = _pools(result)
    generated: dict[str, float] = {}
    tokens: dict[str, float] = {}
    seconds: dict[str, float] = {}
    trained = train_s = 0.0
    for trial in result.trials.values():
        for measured in trial.rungs:
            trained += measured.rows * measured.runs
            train_s += measured.train_s
            pool = pools[trial.number]
            generated[pool] = max(generated.get(pool, 0), measured.rows * len(pool.split()))
            tokens[pool] = max(tokens.get(pool, 0), measured.tokens)
            seconds[pool] = max(seconds.get(pool, 0), measured.engine_s)
    return Amounts(
        trials=sum(bool(trial.rungs) for trial in result.trials.values()),
        generated=sum(generated.values()),
        trained=trained,
        tokens=sum(tokens.values()),
        seconds=sum(seconds.values()) + train_s,
    )


def would_take(result: SearchResult) -> Amounts:
    """Return what the same trials would take if each were measured at the last rung alone.

    Rows are counted; tokens and seconds are reckoned from what each trial's rows and runs took at
    the highest rung that it came to.
    """
    pools, top = _pools(result), result.space.rungs[-1]
    tokens: dict[str, float] = {}
    seconds: dict[str, float] = {}
    trained = train_s = 0.0
    measured = [(trial, trial.last) for trial in result.trials.values() if trial.last]
    for trial, last in measured:
        pool, times = pools[trial.number], top / last.rows
        tokens[pool] = max(tokens.get(pool, 0), times * last.tokens)
        seconds[pool] = max(seconds.get(pool, 0), times * last.engine_s)
        trained += top * last.runs
        train_s += last.train_s
    return Amounts(
        trials=len(measured),
        generated=float(sum(top * len(pool.split()) for pool in tokens)),
        trained=trained,
        tokens=sum(tokens.values()),
        seconds=sum(seconds.values()) + train_s,
    )


def grid_size(result: SearchResult) -> int | None:
    """Return how many trials there could be; None if a factor has a range, or they are many."""
    return sum(1 for _ in result.space.points()) if result.space.is_small else None


def _pools(result: SearchResult) -> dict[int, str]:
    """Return what tells the pools of each trial from those of others."""
    fingerprints = IdentityMap((condition, set[str]()) for condition in result.asked.values())
    for cell in result.plan.cells if result.plan else ():
        if cell.mix.view:
            fingerprints[cell.condition].add(cell.mix.view.pool.fingerprint)
    return {
        number: " ".join(sorted(fingerprints[condition] or {"none"}))
        for (number, _), condition in result.asked.items()
    }


def fates(result: SearchResult) -> list[tuple[int, dict[str, int]]]:
    """Return, for each rung, how many trials were measured there and what became of them.

    Returns:
        Each rung with counts of "measured", "went on", and the standings of those that did not.
    """
    table = []
    for at, rows in enumerate(result.space.rungs):
        reached = [trial for trial in result.trials.values() if len(trial.rungs) > at]
        ended = [trial for trial in reached if len(trial.rungs) == at + 1]
        counts = {"measured": len(reached), "went on": len(reached) - len(ended)}
        for trial in ended:
            counts[trial.standing] = counts.get(trial.standing, 0) + 1
        table.append((rows, counts))
    return table


def unmeasured(result: SearchResult) -> list[Trial]:
    """Return the trials that came to nothing, or ended for another reason than their score."""
    return [
        trial
        for trial in result.trials.values()
        if trial.standing in ("failed", "short", "cut off")
    ]


def front(result: SearchResult, price: Callable[[Trial, Measured], float]) -> list[OnFront]:
    """Return the measurements that no other is both at least as good and cheaper than.

    A trial has a measurement at each of its rungs, so that its fewer rows are a choice as well.

    Args:
        result: What the search came to.
        price: What a measurement took.
    """
    known = [(price(trial, measured), measured, trial) for trial, measured in measurements(result)]
    known.sort(key=lambda candidate: (candidate[0], -candidate[1].score, candidate[2].number))
    best, kept = -math.inf, []
    for _, measured, trial in known:
        if measured.score > best:
            best = measured.score
            kept.append(OnFront(trial, measured, test_score(measured)))
    return kept


def measurements(result: SearchResult) -> Iterator[tuple[Trial, Measured]]:
    """Yield every measurement with its trial."""
    for trial in result.trials.values():
        for measured in trial.rungs:
            yield trial, measured


def tokens_of(trial: Trial, measured: Measured) -> float:
    """Return the tokens that a measurement's rows took."""
    return measured.tokens


def seconds_of(trial: Trial, measured: Measured) -> float:
    """Return the seconds of engines and training that a measurement took, those below it too."""
    runs = sum(rung.train_s for rung in trial.rungs if rung.rows <= measured.rows)
    return measured.engine_s + runs


@cache
def factors_found(result: SearchResult) -> list[FactorFound]:
    """Return what the first rung says of each factor.

    Shares are those of fANOVA (Hutter et al. 2014, ICML; Optuna's, which has a random forest learn
    scores from levels), main effects alone, of the trials that a factor applies to. Trials are
    where the sampler went, and so mostly near what did well.
    """
    trials = [trial for trial in result.trials.values() if trial.rungs]
    factors = []
    for name in result.file.study.factors:
        factor = next(
            (dimension for dimension in result.space.dimensions if dimension.name == name), None
        )
        if factor is not None:
            applying = [trial for trial in trials if name in trial.point]
            share, parts = _share(factor, applying, result), _parts(factor, applying)
            factors.append(FactorFound(name, len(applying), share, parts))
    return factors


def _parts(factor: Dimension, trials: Sequence[Trial]) -> list[Part]:
    groups: dict[str, list[float]] = {}
    for trial in sorted(trials, key=lambda trial: _order(factor, trial.point[factor.name])):
        name = _part_name(factor, trial.point[factor.name])
        groups.setdefault(name, []).append(trial.rungs[0].score)
    return [Part(name, len(scores), sum(scores) / len(scores)) for name, scores in groups.items()]


def _order(factor: Dimension, level: Level) -> float:
    if factor.range:
        return float(level or 0)
    return [choice.level for choice in factor.choices].index(level)


def _part_name(factor: Dimension, level: Level) -> str:
    if not factor.range:
        return str(level)
    low, high, is_log = factor.range.low, factor.range.high, factor.range.log
    ends = [
        low * (high / low) ** (at / PARTS) if is_log else low + (high - low) * at / PARTS
        for at in range(PARTS + 1)
    ]
    value = float(level or 0)
    at = next(at for at in range(PARTS) if value <= ends[at + 1] or at == PARTS - 1)
    return f"{ends[at]:.3g} to {ends[at + 1]:.3g}"


def _share(factor: Dimension, trials: Sequence[Trial], result: SearchResult) -> float | None:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
    )

    # Optuna takes no factor that some of the trials lack, and one that is the same in all of them
    # explains nothing
    shared = [
        dimension
        for dimension in result.space.dimensions
        if all(dimension.name in trial.point for trial in trials)
    ]
    varied = [
        dimension
        for dimension in shared
        if len({str(trial.point[dimension.name]) for trial in trials}) > 1
    ]
    scores = [trial.rungs[0].score for trial in trials]
    if len(trials) < FEW or factor not in varied or len(set(scores)) < 2:
        return None
    spaces: dict[str, BaseDistribution] = {
        dimension.name: FloatDistribution(
            dimension.range.low, dimension.range.high, log=dimension.range.log
        )
        if dimension.range
        else CategoricalDistribution([choice.level for choice in dimension.choices])
        for dimension in varied
    }
    quieten_optuna()
    study = optuna.create_study(direction="maximize")
    for trial, score in zip(trials, scores, strict=True):
        params = {dimension.name: trial.point[dimension.name] for dimension in varied}
        frozen_trial = optuna.trial.create_trial(params=params, distributions=spaces, value=score)
        study.add_trial(frozen_trial)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=TREES_SEED)
    shares: Mapping[str, float] = evaluator.evaluate(
        study, params=[dimension.name for dimension in varied]
    )
    return float(shares[factor.name])
