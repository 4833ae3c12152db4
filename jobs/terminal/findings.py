"""What a finished study says on the terminal."""

from engine.findings.analysis import analyse
from engine.findings.findings import Findings, condition_scores
from engine.report.brief import brief
from engine.report.shown import shown_brief
from engine.store.store import Store


def show_findings(findings: Findings, store: Store) -> str:
    """Return what the terminal is told, its lines joined."""
    said = shown_brief(findings, store)  # its statistics take seconds to load, and are done already
    if said is None:
        said = brief(findings, condition_scores(findings, "test"), analyse(findings))
    return f"{said}\nReport: {store.location(findings.folder)}/report.html"
