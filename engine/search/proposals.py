"""Which trials are at work, and which are proposed next; whatever runs them."""

from collections.abc import Mapping

from engine.search.sampler import Proposed, Sampler
from engine.search.space import Space
from engine.search.trial import Verdict
from engine.study.study import StudyFile


class Proposals:
    """Proposes trials between phases, when what the last phase came to is known.

    Args:
        file: The study.

    Attributes:
        at_work: The numbers of the trials that are to be measured in the next phase.
    """

    def __init__(self, file: StudyFile) -> None:
        self._config = file.study.search
        self._sampler = Sampler(Space(file), self._config)
        self._count = 0
        self._may_ask = True
        self.at_work: set[int] = set()

    def propose(self) -> Proposed | None:
        """Propose a trial, which is at work then; None if the next phase is to have no more."""
        has_room = len(self.at_work) < self._config.concurrent
        if not (self._may_ask and has_room and self._count < self._config.max_trials):
            return None
        if proposed := self._sampler.ask():
            self._count += 1
            self.at_work.add(proposed.number)
        return proposed

    def pass_on(self, verdicts: Mapping[int, Verdict]) -> None:
        """Hear what the trials of a phase came to: in the order of their numbers."""
        for number, verdict in sorted(verdicts.items()):
            self._may_ask = self._may_ask and verdict.may_ask
            if verdict.score is not None:
                self._sampler.tell_rung(number, verdict.rows, verdict.score)
            if not verdict.goes_on:
                self.at_work.discard(number)
                self._sampler.tell(number, verdict.values, is_whole=verdict.is_whole)
