"""One look at a root: what was listed or read once is not asked for again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cachetools import LRUCache

from engine.store.seal import Sealed
from engine.store.store import Store

TABLES = 128  # segments that are kept: at most 512 rows each, so that no look takes much memory
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reading(Store):
    """A store that reads each listing, footer and document once, and keeps what it said.

    Of tables the last few are kept: who reads them in turn reads each once. What others commit
    after it was asked for is not seen; a new look sees it.
    """

    _seen: dict[tuple[str, str], Any] = field(default_factory=dict, compare=False, repr=False)
    _tables: LRUCache[str, Sealed] = field(
        default_factory=lambda: LRUCache(TABLES), compare=False, repr=False
    )

    @classmethod
    def of(cls, store: Store) -> "Reading":
        """Begin a look at a store's root, through the connection that the store has."""
        reading = cls(store.root)
        vars(reading)["_files"] = store._files
        return reading

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.root,)  # what was seen here is no look of another process

    def names(self, folder: str) -> list[str]:
        """See ``Store``."""
        return list(self._once("names", folder, super().names))

    def has(self, name: str) -> bool:
        """See ``Store``: a file that was read is there."""
        is_read = ("document", name) in self._seen or ("notes", name) in self._seen
        return is_read or self._once("has", name, super().has)

    def notes(self, name: str) -> tuple[dict[str, Any], str]:
        """See ``Store``."""
        return self._once("notes", name, super().notes)

    def document(self, name: str) -> dict[str, Any]:
        """See ``Store``."""
        return self._once("document", name, super().document)

    def table(self, name: str) -> Sealed:
        """See ``Store``."""
        if name not in self._tables:
            self._tables[name] = super().table(name)
        return self._tables[name]

    def _once(self, what: str, name: str, read: Callable[[str], Result]) -> Result:
        key = (what, name)
        if key not in self._seen:
            self._seen[key] = read(name)
        result: Result = self._seen[key]
        return result
