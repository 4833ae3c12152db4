"""Set damaged files aside, so that they are made again."""

from collections.abc import Callable
from typing import TypeVar

from engine.errors import DamagedError
from engine.make.progress import Progress, Watch
from engine.store.kinds import Kind, damage, kind_of
from engine.store.store import Store

Result = TypeVar("Result")


def mending(store: Store, watch: Watch, attempt: Callable[[], Result]) -> Result:
    """Try something until it meets no damaged file, each of which is set aside.

    Raises:
        DamagedError: A file is damaged again that was made anew.
    """
    mended: set[str] = set()
    while True:
        try:
            return attempt()
        except DamagedError as error:
            if error.name in mended:
                raise
            mended.add(error.name)
            mend(error, store, watch)


def mend(error: DamagedError, store: Store, watch: Watch) -> None:
    """Set a damaged file aside; whoever needs it finds it missing, and makes it again.

    A file whose checksum agrees is retired if it does not hold what its name says. With a
    classifier's file go the others, and its run, since only together they come from one training.
    """
    name = error.name
    # a run that waits is called by its label alone, and has no file
    kind = kind_of(name) if "/" in name else Kind.RUN
    if kind is Kind.MODEL:
        folder = name.rpartition("/")[0]
        for file_name in store.names(folder):
            store.retire(f"{folder}/{file_name}")
        store.retire(f"runs/{folder.partition('/')[2]}.json")
    elif not store.set_aside(name) and damage(store, name):
        store.retire(name)
    watch(Progress("mend", 1, 1, note=f"{name} is set aside{kind.value.lost}: {error.why}"))
