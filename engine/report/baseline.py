"""What the LLM itself scored, and how the trained classifiers compare with it.

Source: Li et al. 2024, arXiv:2407.12813, table 4 and appendix D.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from engine.evaluate.intervals import Mean, mean_interval
from engine.report.findings import METRICS, ConditionScore, Findings

COLUMNS: Mapping[str, pa.DataType] = {
    "task": pa.string(),
    "llm": pa.string(),
    "engine": pa.string(),
    "constrained": pa.bool_(),  # whether answers were held to the labels
    "shots": pa.int64(),
    "replicate": pa.int64(),  # null without shots, which is the same in all replicates
    "split": pa.string(),
    "rows": pa.int64(),
    "unanswered": pa.int64(),  # rows without one label in the answer; they count as wrong
    "errors": pa.int64(),  # those of them that the engine could not answer at all
    "error": pa.string(),  # the first of these
    "accuracy": pa.float64(),
    "macro_f1": pa.float64(),
    "prompt_tokens": pa.int64(),  # 0 where the engine counts none
    "completion_tokens": pa.int64(),
    "pool": pa.string(),
}


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


def baseline_table(findings: Findings) -> pa.Table:
    """Return one row per baseline, replicate and split, with the columns of COLUMNS."""
    return pa.Table.from_pylist(list(findings.baselines), schema=pa.schema(COLUMNS.items()))


def baseline_scores(findings: Findings) -> list[BaselineScore]:
    """Return the scores of each LLM and number of shots of which both splits are there."""
    grouped: dict[tuple[str, str, int], dict[str, list[Mapping[str, Any]]]] = {}
    for row in findings.baselines:
        own = grouped.setdefault((row["task"], row["llm"], row["shots"]), {})
        own.setdefault(row["split"], []).append(row)
    return [
        BaselineScore(
            task=task,
            llm=llm,
            shots=shots,
            is_constrained=own["test"][0]["constrained"],
            test=_score(own["test"]),
            validation=_score(own["validation"]),
        )
        for (task, llm, shots), own in grouped.items()
        if {"test", "validation"} <= set(own)
    ]


def best_baselines(findings: Findings) -> dict[str, BaselineScore]:
    """Return for each task the LLM and number of shots that is best on validation."""
    found: dict[str, BaselineScore] = {}
    for one in baseline_scores(findings):
        best = found.setdefault(one.task, one)
        if _validated(one, findings) > _validated(best, findings):
            found[one.task] = one
    return found


def _validated(one: BaselineScore, findings: Findings) -> float:
    return one.validation.scores[findings.metric].value


def shots_shown(one: BaselineScore) -> str:
    """Return an LLM and its shots in words."""
    return f"{one.llm}, {one.shots} shot{'' if one.shots == 1 else 's'}"


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
