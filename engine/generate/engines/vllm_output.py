"""What an engine's processes write: read for why one ended."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator

_ERROR = re.compile(r"(?:\w+\.)*(\w*(?:Error|Exception)): (.+)")
_ONLY_TELLS_OF_ANOTHER = re.compile(r"Engine core initialization|Worker failed|EngineCore enc")


class Transcript:
    """A file for the output of this process's children; it goes with the process."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the children are

    @contextlib.contextmanager
    def taken_down(self) -> Iterator[None]:
        """Take down what this process and its children write to stdout and stderr.

        Children that are started meanwhile go on writing there after it.
        """
        kept = os.dup(1), os.dup(2)
        os.dup2(self._file.fileno(), 1)
        os.dup2(self._file.fileno(), 2)
        try:
            yield
        finally:
            for descriptor, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)

    @property
    def text(self) -> str:
        """All that was written."""
        descriptor = self._file.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8", "replace")

    def last_error(self) -> str:
        """Return the last error that it tells of, without those that only pass another on."""
        errors = [
            f"{match[1]}: {match[2].strip()}"
            for match in _ERROR.finditer(self.text)
            if not _ONLY_TELLS_OF_ANOTHER.match(match[2])
        ]
        return errors[-1].rstrip(".") if errors else ""
