"""What happens while rows are made, as it is reported."""

from typing import NamedTuple

from engine.store.segments import Segment


class SegmentRef(NamedTuple):
    """A segment of a pool, by the pool's fingerprint."""

    pool: str
    segment: Segment

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self.segment.stop - self.segment.start


class Started(NamedTuple):
    """An engine is ready, after so many seconds."""

    group: str
    replica: str
    seconds: float


class Made(NamedTuple):
    """A segment is there now.

    Attributes:
        group: Whose engines it was asked of.
        replica: Which of them made it.
        part: The segment.
        was_there: Whether it had been there before it was asked for.
        errors: Rows without an answer.
        prompt_tokens: Tokens of the prompts; 0 where none are counted.
        tokens: Tokens of the completions.
        cached_tokens: Those of the prompts that the engine had worked on before.
        seconds: Engine time that it took; 0 if it was there already.
        start_s: Seconds that the engine took to start, if this is the first it made.
    """

    group: str
    replica: str
    part: SegmentRef
    was_there: bool = False
    errors: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0
    start_s: float = 0


class Lost(NamedTuple):
    """An engine died, or hangs, and is replaced."""

    group: str
    replica: str
    cause: str


class GivenUp(NamedTuple):
    """No engine of a group is left that works."""

    group: str
    cause: str


class Refused(NamedTuple):
    """An engine cannot do what the user asked of it, or nothing more can be written."""

    group: str
    error: Exception


Event = Started | Made | Lost | GivenUp | Refused
