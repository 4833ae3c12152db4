"""What a search says on the terminal when it ends; apart, for its statistics load slowly."""

from textwrap import fill

from engine.findings.gather import caveat
from engine.report.brief import WIDTH
from engine.report.numbers import show_score
from engine.report.words import METRIC_NAMES
from engine.search.report.findings import test_score, winner
from engine.search.report.page import write_search
from engine.search.report.words import in_the_study_s_order, named, problems, scope, summary
from engine.search.search import SearchResult, search_folder
from engine.store.store import Store

MOST = 10  # trials that the terminal lists; the report has all


def show_search(result: SearchResult, store: Store) -> tuple[str, bool]:
    """Write a search's report; return what the terminal is told, and whether all went well."""
    write_search(result, store)
    folder, metric = search_folder(result.file), METRIC_NAMES[result.file.study.metric]
    measured = [(trial, trial.last) for trial in result.trials.values() if trial.last]
    # by rung first: scores at different numbers of rows do not compare
    measured.sort(key=lambda pair: (-pair[1].rows, -pair[1].score, pair[0].number))
    lines = [
        f"{len(result.trials)} trials, the best first, by {metric} on validation at the last rung "
        f"that each came to; test with 95% t-intervals ({scope(result)}):",
        f"  {'rows':>7}  validation  {'test':<20} trial",
    ]
    for trial, last in measured[:MOST]:
        point = named(in_the_study_s_order(trial.point, result))
        test = show_score(test_score(last))
        lines.append(
            f"  {last.rows:>7,}  {100 * last.score:>10.1f}  {test:<20} {trial.number}: {point}"
        )
    lines += [f"  and {len(measured) - MOST} more"] if len(measured) > MOST else []
    lines += ["", "In short:"]
    lines += [
        fill(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ")
        for sentence in summary(result)
    ]
    lines.append("")
    warning = caveat(result.plan) if result.plan else ""
    lines += [warning] if warning else []
    wrong = problems(result)
    lines += [f"  {problem}" for problem in wrong]
    if winner(result):
        best = store.location(f"{folder}/best.toml")
        lines.append(f"The winner, as a study: textmill run {best}")
    lines.append(f"Report: {store.location(folder)}/report.html")
    return "\n".join(lines), not wrong
