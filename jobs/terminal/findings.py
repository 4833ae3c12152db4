"""What a finished study says on the terminal; apart, for its statistics take seconds to load."""

from textwrap import fill

from engine.findings.analysis import analyse
from engine.findings.baselines import best_baselines
from engine.findings.findings import Findings, condition_scores
from engine.report.numbers import FEW_DRAWS, drawless, has_few_draws, scope, shots_shown, show_score
from engine.report.words import METRIC_NAMES, summary
from engine.store.store import Store

WIDTH = 96  # characters of a line of a sentence


def show_findings(found: Findings, store: Store) -> str:
    """Return what the terminal is told, its lines joined."""
    metric = METRIC_NAMES[found.metric]
    lines = [
        f"{found.runs_made} of {found.runs} runs are there. {metric[0].upper()}{metric[1:]} on "
        f"test, with 95% t-intervals ({scope(found)}):"
    ]
    rows = condition_scores(found, "test")
    rows.sort(key=lambda one: -one.scores[found.metric].value)
    for one in rows:
        levels = ", ".join(
            f"{name} {level}" for name, level in one.levels.items() if level is not None
        )
        lines.append(f"  {show_score(one.scores[found.metric]):<20} {levels}")
    lines += [drawless(found)] if found.drawless else []
    if has_few_draws(found):
        lines.append(f"With fewer than {FEW_DRAWS} of them an interval says little.")
    for analysis in analyse(found):
        lines += ["", f"In short, {analysis.task}:" if len(found.tasks) > 1 else "In short:"]
        lines += [
            fill(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ")
            for sentence in summary(analysis, found)
        ]
    lines.append("")
    for task_, llm in best_baselines(found).items():
        where = f" on {task_}" if len(found.tasks) > 1 else ""
        lines.append(
            f"The LLM itself{where} ({shots_shown(llm)}, which is best on validation): "
            f"{show_score(llm.test.scores[found.metric])} on test"
        )
    lines += [found.caveat] if found.caveat else []
    lines += [f"  {problem}" for problem in found.problems]
    lines.append(f"Report: {store.location(found.folder)}/report.html")
    return "\n".join(lines)
