"""What a study file may say of a search: how its factors are tried out, and when that ends.

None of it enters a fingerprint: a measurement is the same whoever asked for it.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from engine.study.config import Count
from engine.tasks.toml_files import Written

Objective = Literal["score", "tokens", "seconds"]


class Range(Written):
    """The values of a numeric factor that a search may try, both ends among them.

    Attributes:
        low: The least.
        high: The largest.
        log: Whether values are as likely to lie between 1 and 2 as between 2 and 4.
        step: Only low, low + step, and so on. If absent, whole numbers where the field has those,
            and else three significant digits.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: Annotated[int | float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _is_some_range(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g}, which is not below high, {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low:g}; a range on a log scale begins above 0")
        if self.log and self.step is not None:
            raise ValueError("a range has a log scale or a step, not both")
        return self


def _kind_of_levels(value: Any) -> str:  # noqa: ANN401 - whatever stood in the file
    return "as-range" if isinstance(value, dict | Range) else "as-levels"


Levels = Annotated[
    Annotated[list[Any], Tag("as-levels")] | Annotated[Range, Tag("as-range")],
    Discriminator(_kind_of_levels),
]


class SearchConfig(Written):
    """How ``textmill search`` tries out the factors of a study.

    A trial is one value for each factor. It is measured at rungs, which are numbers of synthetic
    rows: a trial that goes on has its pool extended, and is trained anew on more rows.

    Attributes:
        rungs: The numbers of synthetic rows, rising. If absent, the levels of the factor
            ``quantity``; without that, ``mix.quantity`` and two rungs below, each a
            ``reduction_factor``-th of the next.
        reduction_factor: Of the trials at a rung one in so many goes on (``asha``).
        sampler: What proposes trials: "tpe" (Bergstra et al. 2011, NeurIPS; as Optuna does it,
            multivariate and grouped), "random", or "grid", which takes every one in turn.
        startup: Trials that "tpe" draws at random before it models what they came to.
        stopping: What goes on from one rung to the next: "asha" the best of those measured there
            (Li et al. 2018, arXiv:1810.05934, the variant that stops for good); "median" those not
            below the median (Golovin et al. 2017, Google Vizier, section 3.1); "none" all.
        objectives: What trials are compared by: the score on validation, and what it takes, per
            trial at its last rung: "tokens" of prompts and completions or "seconds" of engines and
            training. Stopping looks at the score alone; and with several, "tpe" learns of trials
            that were stopped only that they were.
        concurrent: Trials that are measured at a time, at most.
        seed: Of the sampler.
        start_from: Trials to begin with: for each a level of every factor that it is to fix.
        max_trials: Trials, at most.
        max_hours: Hours that the search may be at work, all its sittings together.
        max_tokens: Tokens of prompts and completions that it may have made, all its sittings
            together.
    """

    rungs: list[Count] | None = Field(None, min_length=1)
    reduction_factor: float = Field(3, gt=1)
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    startup: int = Field(10, ge=1)
    stopping: Literal["asha", "median", "none"] = "asha"
    objectives: list[Objective] = ["score"]
    concurrent: int = Field(8, ge=1)
    seed: int = Field(0, ge=0)
    start_from: list[dict[str, Any]] = []
    max_trials: int = Field(30, ge=1)
    max_hours: float | None = Field(None, gt=0)
    max_tokens: int | None = Field(None, ge=1)

    @field_validator("rungs")
    @classmethod
    def _rungs_rise(cls, rungs: list[int] | None) -> list[int] | None:
        check_rising(rungs or [])
        return rungs

    @field_validator("objectives")
    @classmethod
    def _score_is_one(cls, objectives: list[Objective]) -> list[Objective]:
        if objectives[:1] != ["score"]:
            raise ValueError('the first is "score", which stopping looks at')
        if len(set(objectives)) < len(objectives):
            raise ValueError("one of them is there twice")
        return objectives


def check_rising(rungs: list[int]) -> None:
    """Make sure that each rung has more rows than the one before.

    Raises:
        ValueError: One has not.
    """
    for lower, upper in pairwise(rungs):
        if upper <= lower:
            raise ValueError(f"rungs rise, but {upper} comes after {lower}")
