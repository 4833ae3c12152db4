"""What a study found, in the lines that the terminal ends with."""

from collections.abc import Sequence
from textwrap import fill

from engine.findings.analysis import TaskAnalysis
from engine.findings.baselines import best_baselines
from engine.findings.findings import ConditionScore, Findings
from engine.report.numbers import FEW_DRAWS, drawless, has_few_draws, scope, shots_shown, show_score
from engine.report.words import METRIC_NAMES, summary

WIDTH = 96  # characters of a line of a sentence


def brief(
    findings: Findings, conditions: Sequence[ConditionScore], analyses: Sequence[TaskAnalysis]
) -> str:
    """Return a study's results in short, the lines joined.

    Args:
        findings: What it found.
        conditions: Its conditions' scores on test.
        analyses: Which differences are shown, by task.
    """
    metric = METRIC_NAMES[findings.metric]
    lines = [
        f"{findings.runs_made} of {findings.runs} runs are there. {metric[0].upper()}{metric[1:]} "
        f"on test, with 95% t-intervals ({scope(findings)}):"
    ]
    for row in sorted(conditions, key=lambda row: -row.scores[findings.metric].value):
        levels = ", ".join(
            f"{name} {level}" for name, level in row.levels.items() if level is not None
        )
        lines.append(f"  {show_score(row.scores[findings.metric]):<20} {levels}")
    lines += [drawless(findings)] if findings.drawless else []
    if has_few_draws(findings):
        lines.append(f"With fewer than {FEW_DRAWS} of them an interval says little.")
    for analysis in analyses:
        lines += ["", f"In short, {analysis.task}:" if len(findings.tasks) > 1 else "In short:"]
        lines += [
            fill(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ")
            for sentence in summary(analysis, findings)
        ]
    lines.append("")
    for task_, llm in best_baselines(findings).items():
        on_task = f" on {task_}" if len(findings.tasks) > 1 else ""
        lines.append(
            f"The LLM itself{on_task} ({shots_shown(llm)}, which is best on validation): "
            f"{show_score(llm.test.scores[findings.metric])} on test"
        )
    lines += [findings.caveat] if findings.caveat else []
    lines += [f"  {problem}" for problem in findings.problems]
    return "\n".join(lines)
