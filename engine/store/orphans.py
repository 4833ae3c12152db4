"""What of the store no study refers to.

No study refers to embeddings, which are a cache: each model's are listed as one folder, whoever
uses them, and go once nothing was added for as long as the age limit says. A study that still needs
them makes them again and comes to the same results.
"""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.errors import DamagedError
from engine.store.files import Entry
from engine.store.kinds import cleaned_stages
from engine.store.references import reference_file
from engine.store.store import Store, is_leftover, is_scratch


class Orphan(NamedTuple):
    """A file or folder that no study refers to.

    Attributes:
        name: Its name in the store.
        size: Bytes.
        age_s: Seconds since anything in it was last written, by this machine's clock; below 0 if
            that lies ahead of it.
    """

    name: str
    size: int
    age_s: float


def orphans(store: Store) -> list[Orphan]:
    """Return what no study of the store refers to, and what killed writers left behind.

    Raises:
        DamagedError: What a study refers to cannot be read, so that nothing is safe to remove.
    """
    referred = set(_referred(store))
    entries_by_orphan: dict[str, list[Entry]] = {}
    for entry in store.entries("."):
        if orphan := _belongs(entry, referred):
            entries_by_orphan.setdefault(orphan, []).append(entry)
    return [_orphan(name, entries) for name, entries in entries_by_orphan.items()]


def remove(store: Store, orphan: Orphan) -> None:
    """Remove a file or folder of the store."""
    store.remove(orphan.name)


def _referred(store: Store) -> Iterator[str]:
    for study in store.names("studies"):
        name = reference_file(study)
        if not store.has(name):
            raise DamagedError(name, "it is missing, so what the study needs is not known")
        yield from store.document(name)["kept"]


def _belongs(entry: Entry, referred: set[str]) -> str | None:
    """Return the orphan that a file or folder is part of, if any."""
    stage, _, rest = entry.name.partition("/")
    if is_scratch(stage):
        return stage
    top = f"{stage}/{rest.partition('/')[0]}"
    if stage in cleaned_stages() and rest and not rest.startswith(".") and top not in referred:
        return top
    return entry.name if entry.is_file and is_leftover(entry.name) else None


def _orphan(name: str, entries: Iterable[Entry]) -> Orphan:
    newest = max(entry.modified for entry in entries)
    return Orphan(name, sum(entry.size for entry in entries), time.time() - newest)
