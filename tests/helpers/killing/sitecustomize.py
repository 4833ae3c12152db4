"""A Python that is killed at a commit point: the command that a test has started, and whoever is
there in its stead.

KILLING names a folder. ``wanted`` says where to kill: a commit point's name, and "before" or
"after". Put this folder on PYTHONPATH and every Python process obeys, workers too. The process with
COMMAND in its environment is the command itself, and writes its number into ``command``. Before a
commit all bytes are there, and only the name is not.
"""

import importlib.abc
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

FOLDER = Path(os.environ.get("KILLING", "/nowhere"))
_own = threading.local()


def reached(name, moment):
    """Kill the command and this process, if this is the place; nothing ends in between."""
    from engine.store.kinds import kind_of

    wanted = FOLDER / "wanted"
    try:
        if wanted.read_text() != f"{kind_of(name).name} {moment}":
            return
        wanted.rename(FOLDER / "done")  # of many that are here the first
    except FileNotFoundError:
        return
    os.kill(int((FOLDER / "command").read_text()), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def patch(files):
    """Have all that changes a folder's files say where it is."""
    folder_files, write = files.FolderFiles, files._write
    create, replace, move = folder_files.create, folder_files.replace, folder_files.move

    def told_write(path, data):
        write(path, data)
        reached(_own.name, "before")

    def told_create(self, name, data):
        _own.name = name
        is_first = create(self, name, data)
        if is_first:
            reached(name, "after")
        return is_first

    def told_replace(self, name, data):
        _own.name = name
        replace(self, name, data)
        reached(name, "after")

    def told_move(self, name, to):
        if self.has(name):
            reached(to, "before")
        move(self, name, to)
        reached(to, "after")

    files._write = told_write
    folder_files.create, folder_files.replace = told_create, told_replace
    folder_files.move = told_move


class _Finder(importlib.abc.MetaPathFinder):
    """Patches the module when it is loaded: most of Ray's processes never load it."""

    def find_spec(self, name, path, target=None):
        if name != "engine.store.files":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_patch(module):
            load(module)
            patch(module)

        spec.loader.exec_module = load_and_patch
        return spec


if FOLDER.is_dir():
    sys.meta_path.insert(0, _Finder())
    if os.environ.pop("COMMAND", None):
        (FOLDER / "command").write_text(str(os.getpid()))
