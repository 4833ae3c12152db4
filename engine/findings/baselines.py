"""What the LLM itself scored as the classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from engine.evaluate.answer import named_label
from engine.evaluate.intervals import Mean, mean_interval
from engine.evaluate.metric import scores
from engine.findings.findings import METRICS, ConditionScore, Findings
from engine.plan.names import llm_names
from engine.steps.baseline import Baseline
from engine.steps.run import SCORED
from engine.store.segments import unbroken
from engine.store.store import Store
from engine.tasks.gold import Rows
from engine.tasks.task import Split


def baseline_results(
    baselines: Sequence[Baseline], gold: Mapping[str, Mapping[Split, Rows]], store: Store
) -> list[dict[str, Any]]:
    """Score the baselines' answers, as far as all rows of a split are there.

    An answer from which no label can be told (see ``named_label``), or none at all, counts as
    wrong, and is counted as unanswered.

    Returns:
        A row for each baseline and split: the columns of ``engine.report.tables.BASELINE_COLUMNS``.

    Raises:
        DamagedError: A segment is damaged.
    """
    llms = llm_names(baselines)
    return [
        {
            "task": baseline.task.name,
            "llm": llms[baseline.fingerprint],
            "engine": baseline.config.engine,
            "constrained": baseline.config.structured is not None,
            "shots": baseline.shots,
            "replicate": baseline.replicate if baseline.shots else None,
            "split": split,
            **_scored(baseline, gold[baseline.task.name][split].table, answers),
            "pool": baseline.folder,
        }
        for baseline in baselines
        for split in SCORED
        if (answers := _answers(baseline, split, store)) is not None
    ]


def _answers(baseline: Baseline, split: Split, store: Store) -> pa.Table | None:
    """Return the answers for all rows of a split, in order; None if some are not there yet."""
    segments = unbroken(baseline.segments(store)[split])
    if not segments or segments[-1].stop < baseline.limits[split]:
        return None
    columns = ["completion", "prompt_tokens", "completion_tokens", "error"]
    return pa.concat_tables(
        store.columns(f"{baseline.folder}/{segment.name}", columns) for segment in segments
    )


def _scored(baseline: Baseline, gold: pa.Table, answers: pa.Table) -> dict[str, Any]:
    labels = list(baseline.task.labels)
    named = [named_label(answer, labels) for answer in answers["completion"].to_pylist()]
    errors = [error for error in answers["error"].to_pylist() if error]
    numbers = {label: number for number, label in enumerate(labels)}
    none_of_them = len(labels)
    metrics = scores(
        [numbers[label] for label in gold["label"].to_pylist()],
        [none_of_them if label is None else numbers[label] for label in named],
        len(labels),
    )
    return {
        "rows": len(named),
        "unanswered": sum(label is None for label in named),
        "errors": len(errors),
        "error": errors[0] if errors else None,
        "accuracy": metrics.accuracy,
        "macro_f1": metrics.macro_f1,
        "prompt_tokens": _total(answers["prompt_tokens"]),
        "completion_tokens": _total(answers["completion_tokens"]),
    }


def _total(counts: pa.ChunkedArray) -> int:
    return sum(count or 0 for count in counts.to_pylist())


class SplitScore(NamedTuple):
    """What an LLM scored on one split.

    Attributes:
        scores: Mean and interval of each metric over the replicates.
        unanswered: Share of rows whose answer names no label, or several, 0 to 1.
        tokens: Tokens of prompts and completions, all replicates together.
    """

    scores: Mapping[str, Mean]
    unanswered: float
    tokens: int


@dataclass(frozen=True)
class BaselineScore:
    """What an LLM scored with one number of shots.

    Attributes:
        task: The task.
        llm: The LLM.
        shots: How many labelled real rows each prompt showed.
        is_constrained: Whether its answers were held to the labels.
        test: Its scores on test.
        validation: Its scores on validation.
    """

    task: str
    llm: str
    shots: int
    is_constrained: bool
    test: SplitScore
    validation: SplitScore

    @property
    def tokens(self) -> int:
        """Tokens of prompts and completions, of all replicates and splits."""
        return self.test.tokens + self.validation.tokens


def baseline_scores(findings: Findings) -> list[BaselineScore]:
    """Return the scores of each LLM and number of shots of which both splits are there."""
    grouped: dict[tuple[str, str, int], dict[str, list[Mapping[str, Any]]]] = {}
    for row in findings.baselines:
        by_split = grouped.setdefault((row["task"], row["llm"], row["shots"]), {})
        by_split.setdefault(row["split"], []).append(row)
    return [
        BaselineScore(
            task=task,
            llm=llm,
            shots=shots,
            is_constrained=by_split["test"][0]["constrained"],
            test=_score(by_split["test"]),
            validation=_score(by_split["validation"]),
        )
        for (task, llm, shots), by_split in grouped.items()
        if {"test", "validation"} <= set(by_split)
    ]


def best_baselines(findings: Findings) -> dict[str, BaselineScore]:
    """Return for each task the LLM and number of shots that is best on validation."""
    best_by_task: dict[str, BaselineScore] = {}
    for score in baseline_scores(findings):
        best = best_by_task.setdefault(score.task, score)
        if _validated(score, findings) > _validated(best, findings):
            best_by_task[score.task] = score
    return best_by_task


def _validated(score: BaselineScore, findings: Findings) -> float:
    return score.validation.scores[findings.metric].value


def ahead(condition: ConditionScore, llm: BaselineScore) -> dict[str, float]:
    """Return by how much a condition's mean on test is above an LLM's: below it if negative.

    Returns:
        For each metric a difference, -1 to 1.
    """
    return {
        metric: condition.scores[metric].value - llm.test.scores[metric].value for metric in METRICS
    }


def _score(rows: Sequence[Mapping[str, Any]]) -> SplitScore:
    return SplitScore(
        scores={metric: mean_interval([row[metric] for row in rows]) for metric in METRICS},
        unanswered=sum(row["unanswered"] for row in rows) / sum(row["rows"] for row in rows),
        tokens=sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows),
    )
