"""What of the store no study refers to.

No study refers to embeddings, which are a cache: each model's are listed as one folder, whoever
uses them, and go once nothing was added for as long as the age limit says. A study that still needs
them makes them again and comes to the same results.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.errors import DamagedError
from engine.store import Store, is_leftover

STAGES = (
    "gold",
    "records",
    "topics",
    "pools",
    "views",
    "runs",
    "diagnoses",
    "models",
    "embeddings",
)


class Orphan(NamedTuple):
    """A file or folder that no study refers to.

    Attributes:
        name: Its name in the store.
        size: Bytes.
        age_s: Seconds since anything in it was last written.
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
    found = [
        _orphan(store, store.root / stage / name)
        for stage in STAGES
        for name in store.names(stage)
        if f"{stage}/{name}" not in referred
    ]
    found += [_orphan(store, path) for path in sorted(store.root.glob(".train-*"))]
    covered = tuple(f"{store.root / orphan.name}/" for orphan in found)
    leftovers = [
        path for path in store.files(".") if is_leftover(path) and not str(path).startswith(covered)
    ]
    return [*found, *(_orphan(store, path) for path in leftovers)]


def remove(store: Store, orphan: Orphan) -> None:
    """Remove a file or folder of the store."""
    path = store.root / orphan.name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _referred(store: Store) -> Iterator[str]:
    for study in store.names("studies"):
        name = f"studies/{study}/references.json"
        if not store.has(name):
            raise DamagedError(name, "it is missing, so what the study needs is not known")
        yield from store.document(name)["kept"]


def _orphan(store: Store, path: Path) -> Orphan:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    stats = [one.stat() for one in files]
    newest = max((stat.st_mtime for stat in stats), default=path.stat().st_mtime)
    name = path.relative_to(store.root).as_posix()
    return Orphan(name, sum(stat.st_size for stat in stats), time.time() - newest)
