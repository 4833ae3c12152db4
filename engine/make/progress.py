"""What a study's stages say while they work."""

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """Something was done.

    Attributes:
        stage: "generate", "curate", "train", "diagnose", "search" for the trials of a search,
            "start" for where work is done, or "mend" for a file that was damaged.
        total: What the stage has to do this time, in rows, runs or views, as far as is known yet.
        done: What it has done of that.
        tokens: Completion tokens among it; 0 where none are counted.
        note: Something to say, or "".
        spent: What the stage took so far and will have taken, in words, or "".
    """

    stage: str
    total: int
    done: int
    tokens: int = 0
    note: str = ""
    spent: str = ""


Watch = Callable[[Progress], None]
