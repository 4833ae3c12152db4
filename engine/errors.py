"""Everything textmill raises on purpose.

TextmillError          message complete: what is wrong, where, what to do
  InputError           what the user gave is wrong; the command exits with 2
    ConfigError        a value in a study file, a task file or a flag
    DataError          a data file or a row of one
    ModelError         a model that is not there or cannot be read
    PluginError        a name that cannot be loaded
    RootError          the root cannot be used
      FormatError      a file of it is of a format that this textmill does not know
  UnwritableError      the root takes no more: it is full, or has become read-only
  DamagedError         a file of the store is cut short, altered or gone
  EngineLostError      an engine died, hangs or cannot be reached; another may do
  TrainingError        the training fleet ended before its runs did

ValueError and TypeError mean that a caller inside textmill broke a function's contract: a bug, so
the traceback stays.
"""


class TextmillError(Exception):
    """The base of every error that textmill raises on purpose."""


class InputError(TextmillError):
    """What the user gave is wrong; nothing was started."""


class ConfigError(InputError):
    """A value in a study file, a task file or a flag is wrong."""


class DataError(InputError):
    """A data file cannot be read, or one of its rows is wrong."""


class ModelError(InputError):
    """A model is not there or cannot be read."""


class PluginError(InputError):
    """A name stands for nothing that can be loaded."""


class RootError(InputError):
    """The root cannot be read or written."""


class FormatError(RootError):
    """A file of the root is whole, and of a format that this textmill does not know."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)  # what pickle calls it with again
        self.name, self.why = name, why

    def __str__(self) -> str:
        return (
            f"{self.name} was written by another version of textmill ({self.why}), and is left as "
            "it is. Use the textmill that wrote it, or give another root: --root."
        )


class UnwritableError(TextmillError):
    """The root takes no more files: its disk is full, or it has become read-only."""


class DamagedError(TextmillError):
    """A file of the store is cut short, altered, or was made for something else."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)  # what pickle calls it with again
        self.name, self.why = name, why

    def __str__(self) -> str:
        return f"{self.name} is damaged ({self.why})."


class EngineLostError(TextmillError):
    """An engine died, hangs, or cannot be reached: it is replaced, or given up after some tries.

    Attributes:
        is_for_good: Whether another in its place could do no better.
    """

    def __init__(self, cause: str, *, is_for_good: bool = False) -> None:
        super().__init__(cause)
        self.is_for_good = is_for_good

    def __reduce__(self) -> tuple[type["EngineLostError"], tuple[str], dict[str, bool]]:
        return EngineLostError, self.args, {"is_for_good": self.is_for_good}


class TrainingError(TextmillError):
    """The training fleet ended before its runs did."""


class RunFailedError(Exception):
    """A run came to nothing by itself; the message says why."""


class NoMemoryError(RunFailedError):
    """A run took more memory than there is; with fewer rows at a time it may not."""
