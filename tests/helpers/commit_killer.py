"""Has processes killed at a commit point: the command that a test has started, and whoever is there
in its stead.

``wanted`` in a folder says where to kill: a commit point's name, and "before" or "after". Whoever
commits there kills the command, whose number is in ``command``, and itself; then ``wanted`` is
called ``done``. Before a commit all bytes are there, and only the name is not.
"""

import importlib.abc
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

FILES = "engine.store.files"


def obey(folder, *, is_command):
    """Have this process obey a folder, whether its files' module is loaded by now or later.

    Args:
        folder: The folder.
        is_command: Whether the process is the command itself.
    """
    folder = Path(folder)
    if is_command:
        (folder / "command").write_text(str(os.getpid()))
    if FILES in sys.modules:
        _Points(folder).patch(sys.modules[FILES])
    else:
        sys.meta_path.insert(0, _Finder(folder))


class _Finder(importlib.abc.MetaPathFinder):
    """Patches the module when it is loaded: most of Ray's processes never load it."""

    def __init__(self, folder):
        self._folder = folder

    def find_spec(self, name, path, target=None):
        if name != FILES:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_patch(module):
            load(module)
            _Points(self._folder).patch(module)

        spec.loader.exec_module = load_and_patch
        return spec


class _Points:
    """The commit points of a process."""

    def __init__(self, folder):
        self._folder = folder
        self._thread = threading.local()

    def reached(self, name, moment):
        """Kill the command and this process, if this is the place; nothing ends in between."""
        from engine.store.kinds import kind_of

        wanted = self._folder / "wanted"
        try:
            if wanted.read_text() != f"{kind_of(name).name} {moment}":
                return
            wanted.rename(self._folder / "done")  # of many that are here the first
        except FileNotFoundError:
            return
        os.kill(int((self._folder / "command").read_text()), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def patch(self, files):
        """Have all that changes a folder's files say where it is."""
        folder_files, write = files.FolderFiles, files._write
        create, replace, move = folder_files.create, folder_files.replace, folder_files.move

        def told_write(path, data):
            write(path, data)
            self.reached(self._thread.name, "before")

        def told_create(files, name, data):
            self._thread.name = name
            is_first = create(files, name, data)
            if is_first:
                self.reached(name, "after")
            return is_first

        def told_replace(files, name, data):
            self._thread.name = name
            replace(files, name, data)
            self.reached(name, "after")

        def told_move(files, name, to):
            if files.has(name):
                self.reached(to, "before")
            move(files, name, to)
            self.reached(to, "after")

        files._write = told_write
        folder_files.create, folder_files.replace = told_create, told_replace
        folder_files.move = told_move
