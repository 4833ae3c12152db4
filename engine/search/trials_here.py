"""The trials of a search without Ray: all that are at work are measured, a phase after another."""

from collections.abc import Callable

from engine.search.proposals import Proposals
from engine.search.trial import Point, Verdict
from engine.study.study import StudyFile


def run_trials(
    file: StudyFile, measure: Callable[[dict[int, Point]], dict[int, Verdict]]
) -> list[str]:
    """Run the trials of a search until none is left.

    Args:
        file: The study.
        measure: Measures trials, by number, and says what becomes of each.

    Returns:
        What went wrong with their processes: nothing, for they have none.
    """
    proposals = Proposals(file)
    points: dict[int, Point] = {}
    while True:
        while proposed := proposals.propose():
            points[proposed.number] = proposed.point
        if not proposals.at_work:
            return []
        proposals.pass_on(measure({number: points[number] for number in sorted(proposals.at_work)}))
