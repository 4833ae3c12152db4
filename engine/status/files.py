"""The files that a plan's commands read, and which of them are damaged."""

import contextlib
from collections.abc import Iterable, Iterator

from engine.errors import DamagedError
from engine.plan.plan import Plan
from engine.store.checks import CHECKSUMS, damage, model_files
from engine.store.store import Store


def files_of(plan: Plan, store: Store) -> list[str]:
    """Return what a plan's commands read of the store, also what must be there and is missing.

    That is what is there of its inputs, pools and views, what its study refers to, all runs,
    diagnoses and embeddings, and all classifiers if it keeps them: it reads none.
    """
    names = _files_of_rows(plan, store) + _documents(store)
    if plan.file.study.resources.keep_models:
        names += _kept_models(store)
    study = f"studies/{plan.file.study.name}"
    names += [one for one in (f"{study}/references.json",) if store.has(one)]
    sittings = f"{study}/search/sittings"
    return [*names, *_in(store, sittings), *_in_folders(store, "embeddings")]


def all_files(plan: Plan, store: Store) -> list[str]:
    """Return the same, and the classifiers that any study keeps."""
    return list(dict.fromkeys([*files_of(plan, store), *_kept_models(store)]))


def _files_of_rows(plan: Plan, store: Store) -> list[str]:
    folders = [*(pool.folder for pool in plan.pools), *(view.folder for view in plan.views)]
    names = [rows.name for rows in plan.inputs() if store.has(rows.name)]
    names += [listed.file for listed in plan.topic_pools if store.has(listed.file)]
    for folder in folders:
        rows = _in(store, f"{folder}/rows")
        recipe = f"{folder}/recipe.json"
        names += [recipe, *rows] if rows or store.has(recipe) else []
    return names


def damaged_files(names: Iterable[str], store: Store) -> Iterator[DamagedError]:
    """Check files, and yield what is wrong with those that are damaged.

    Raises:
        FormatError: One was written by another version of textmill.
    """
    return (found for name in names if (found := damage(store, name)))


def _documents(store: Store) -> list[str]:
    return [name for stage in ("runs", "diagnoses") for name in _in(store, stage)]


def _kept_models(store: Store) -> list[str]:
    """Return the classifiers' files, also those that are missing and, of any, their checksums."""
    found: dict[str, None] = {}
    for folder in _in(store, "models"):
        own = {f"{folder}/{CHECKSUMS}": None, **dict.fromkeys(_in(store, folder))}
        with contextlib.suppress(DamagedError):  # which is found when they are checked
            own |= dict.fromkeys(f"{folder}/{name}" for name in model_files(store, folder))
        found |= own if store.names(folder) else {}
    return list(found)


def _in_folders(store: Store, stage: str) -> list[str]:
    return [name for folder in _in(store, stage) for name in _in(store, folder)]


def _in(store: Store, folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in store.names(folder)]
