"""The files that a plan's commands read, and which of them are damaged."""

import contextlib
from collections.abc import Iterable, Iterator

from engine.errors import DamagedError
from engine.plan.plan import Plan
from engine.store.checks import model_files
from engine.store.kinds import Kind, damage, kind_of
from engine.store.store import Store


def files_of(plan: Plan, store: Store) -> list[str]:
    """Return what a plan's commands read of the store, also what must be there and is missing.

    That is what is there of its inputs, pools and views, what its study refers to, all runs,
    diagnoses and embeddings, and all classifiers if it keeps them: it reads none.
    """
    folders = [*_places(plan), *_stages("all")]
    if plan.file.study.resources.keep_models:
        folders += _stages("keep")
    return _files_in(folders, store)


def all_files(plan: Plan, store: Store) -> list[str]:
    """Return the same, and the classifiers that any study keeps."""
    return _files_in([*_places(plan), *_stages("all"), *_stages("keep")], store)


def damaged_files(names: Iterable[str], store: Store) -> Iterator[DamagedError]:
    """Check files, and yield what is wrong with those that are damaged.

    Raises:
        FormatError: One was written by another version of textmill.
    """
    return (error for name in names if (error := damage(store, name)))


def _places(plan: Plan) -> list[str]:
    """Return the files and folders that belong to a plan alone."""
    return [
        *(rows.name for rows in plan.inputs()),
        *(topics.file for topics in plan.topic_pools),
        *(pool.folder for pool in plan.pools),
        *(view.folder for view in plan.views),
        f"studies/{plan.file.study.name}",
    ]


def _stages(readers: str) -> list[str]:
    return list(dict.fromkeys(kind.value.stage for kind in Kind if kind.value.readers == readers))


def _files_in(places: Iterable[str], store: Store) -> list[str]:
    """Return the files in places that are read, and what must lie beside them."""
    read = {
        entry.name: kind
        for place in places
        for entry in store.entries(place)
        if entry.is_file and (kind := _kind_to_read(entry.name))
    }
    beside = {
        f"{'/'.join(name.split('/')[:2])}/{kind.value.companion}": kind
        for name, kind in read.items()
        if kind.value.companion
    }
    for name in [name for name, kind in beside.items() if kind is Kind.MODEL]:
        folder = name.rpartition("/")[0]
        with contextlib.suppress(DamagedError):  # which is told when they are checked
            beside |= {f"{folder}/{file}": Kind.MODEL for file in model_files(store, folder)}
    return list(read | beside)


def _kind_to_read(name: str) -> Kind | None:
    """Return a file's kind; None if none is read, or if it is none of textmill's.

    What is hidden is what a writer has not finished or what was set aside, or a file system's own.
    """
    if any(part.startswith(".") for part in name.split("/")):
        return None
    try:
        kind = kind_of(name)
    except ValueError:  # somebody else's
        return None
    return None if kind.value.readers == "none" else kind
