"""Files of published numbers: what they may say, and where they are."""

from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from engine.errors import ConfigError
from engine.plugins import did_you_mean
from engine.tasks.toml_files import Written, read_toml, resolve, validate

Measure = Literal["accuracy", "macro_f1", "inter", "to_real", "trivial"]
Reading = Literal["cell", "mean_of", "best_of", "llm"]
Words = Annotated[str, Field(pattern=r"\S")]


class Unit(NamedTuple):
    """The unit of a measure, in files and on the page.

    Attributes:
        name: Measure and unit in words.
        least: The smallest value that it can have.
        most: The largest.
        digits: Decimals that are shown.
    """

    name: str
    least: float
    most: float
    digits: int


UNITS: dict[Measure, Unit] = {
    "accuracy": Unit("Accuracy in points", 0, 100, 1),
    "macro_f1": Unit("Macro-F1 in points", 0, 100, 1),
    "inter": Unit("Mean cosine of two rows of a set", -1, 1, 3),
    "to_real": Unit("Mean cosine of a synthetic and a real row", -1, 1, 3),
    "trivial": Unit("Rows of 1,000 that give their label away", 0, 1000, 0),
}


class Note(Written):
    """What a reader must know of some published numbers.

    Attributes:
        says: What it is.
        here: What is done about it here.
        tasks: The tasks that it concerns; all if empty.
        readings: The readings that it concerns; all if empty.
    """

    says: Words
    here: Words | None = None
    tasks: list[str] = []
    readings: list[Reading] = []


class Cell(Written):
    """One published number.

    Attributes:
        task: The task's name, as textmill calls it.
        value: The number, in its measure's unit: scores in points, 0 to 100; similarities as
            cosines; trivial rows out of 1,000.
        reading: What it is a number of: "cell", one condition; "mean_of" or "best_of", the mean or
            the best over the group's methods; "llm", the LLM itself with its best number of shots.
        method: How the synthetic rows were asked for: the strategy's name, with few_shot the
            number of shots behind it (few_shot_3); none for real rows alone.
        is_rephrased: Whether the synthetic texts were rephrased without sight of their label.
        quantity: Synthetic rows.
        real: Real rows.
    """

    task: Words
    value: float
    reading: Reading = "cell"
    method: Words | None = None
    is_rephrased: bool = False
    quantity: int = Field(0, ge=0)
    real: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "Cell":
        if self.reading == "llm" and (self.method or self.quantity or self.real):
            raise ValueError('the reading "llm" has no method, quantity and real')
        if self.reading in ("mean_of", "best_of") and self.method:
            raise ValueError(f'the reading "{self.reading}" has the methods of its group, and none')
        if self.reading in ("mean_of", "best_of") and not self.quantity:
            raise ValueError(f'the reading "{self.reading}" needs a quantity of synthetic rows')
        if self.reading == "cell" and bool(self.method) != bool(self.quantity):
            raise ValueError("give both method and quantity, or neither for real rows alone")
        if self.reading == "cell" and not self.quantity + self.real:
            raise ValueError("there are neither synthetic nor real rows")
        return self


class Group(Written):
    """A figure or table, or the part of one that has one measure.

    Attributes:
        title: What it is called.
        measure: What its numbers are.
        source: Where they were published, and how they were read off.
        error: How far a value may be from the one meant, by rounding or by being read off.
        methods: The methods that its means and bests are over.
        never_rephrased: Those of them whose texts are not rephrased where the others' are.
        cells: The numbers.
        notes: What a reader must know of them.
    """

    title: Words
    measure: Measure
    source: Words
    error: float = Field(0, ge=0)
    methods: list[str] = []
    never_rephrased: list[str] = []
    cells: list[Cell] = Field(min_length=1)
    notes: list[Note] = []

    @model_validator(mode="after")
    def _is_consistent(self) -> "Group":
        for cell in self.cells:
            self._check(cell)
        twice = [
            identity for identity, count in Counter(map(_identity, self.cells)).items() if count > 1
        ]
        if twice:
            raise ValueError(f"one number of {twice[0][0]!r} is there twice")
        return self

    def _check(self, cell: Cell) -> None:
        unit = UNITS[self.measure]
        if not unit.least <= cell.value <= unit.most:
            raise ValueError(
                f"{cell.value} of {cell.task!r} is no {self.measure}, which lies between "
                f"{unit.least} and {unit.most}"
            )
        if cell.reading in ("mean_of", "best_of") and not self.methods:
            raise ValueError(f'say the methods that "{cell.reading}" is over: methods = [...]')
        if cell.reading != "cell" and self.measure not in ("accuracy", "macro_f1"):
            raise ValueError(f'{self.measure} has no reading "{cell.reading}"')


def _identity(cell: Cell) -> tuple[str, ...]:
    return cell.task, cell.model_dump_json(exclude={"value"})


class Published(Written):
    """What a paper published.

    Attributes:
        name: A short name.
        title: How the paper is cited.
        notes: What a reader must know of all its numbers.
        groups: Its figures and tables.
    """

    name: Words
    title: Words
    notes: list[Note] = []
    groups: list[Group] = Field(min_length=1)


def builtin_published() -> dict[str, Path]:
    """Return the built-in files, by name."""
    folder = Path(str(files("engine.study.published")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_published(name: str, folder: Path) -> Published:
    """Read published numbers.

    Args:
        name: A built-in file's name, or a file's path (it ends with ``.toml``).
        folder: What a relative path is relative to.

    Raises:
        ConfigError: There is no such file, or it is wrong.
    """
    path = _file(name, folder)
    return validate(Published, read_toml(path), path.name, path.parent)


def _file(name: str, folder: Path) -> Path:
    known = builtin_published()
    if name in known:
        return known[name]
    if not name.endswith(".toml"):
        raise ConfigError(
            f"There are no published numbers named {name!r}.{did_you_mean(name, known)} "
            "For a file of your own, give the path of its .toml file."
        )
    try:
        return resolve(name, folder)
    except ValueError as error:
        raise ConfigError(f"published is {name!r}: {error}.") from error


def notes_for(notes: Sequence[Note], cells: Sequence[Cell]) -> list[Note]:
    """Return the notes that concern any of the cells."""
    return [
        note
        for note in notes
        if any(
            (not note.tasks or cell.task in note.tasks)
            and (not note.readings or cell.reading in note.readings)
            for cell in cells
        )
    ]
