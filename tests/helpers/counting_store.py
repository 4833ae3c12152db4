"""A store that counts how often each file of its root is read."""

from collections import Counter

from engine.store.files import FolderFiles
from engine.store.store import Store


class CountingFiles(FolderFiles):
    """Counts readings of whole files, and of the footers that tables end with."""

    def __init__(self, root):
        super().__init__(root)
        self.bodies, self.footers = Counter(), Counter()

    def read(self, name):
        self.bodies[name] += 1
        return super().read(name)

    def footer(self, name):
        self.footers[name] += 1
        return super().footer(name)


def counting_store(root):
    """Return the store of a root, and what counts its readings."""
    store, files = Store.open(str(root)), CountingFiles(str(root))
    vars(store)["_files"] = files  # where the store keeps its connection
    return store, files
