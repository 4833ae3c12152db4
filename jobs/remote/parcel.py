"""What a study takes with it to a cluster: its own files, and nothing else."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from engine.errors import ConfigError
from engine.plan.plan import READERS
from engine.search.space import Space
from engine.study.factors import conditions
from engine.study.load import load_study
from engine.study.published.reading import load_published
from engine.study.study import StudyFile
from engine.tasks.toml_files import NamedPath, named_paths

MOST_BYTES = 100_000_000  # of an upload; a file system that all nodes see is the place for more
CODE = ("engine", "jobs")  # what is sent of textmill itself; a cluster brings the rest
LARGE_SHOWN = 5  # of the files that make an upload too large
LEFT = {"__pycache__", "node_modules", "site-packages", "venv"}  # folders; hidden ones stay, too
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|(^|_)(API_?)?KEY(_|$)", re.IGNORECASE)


class Parcel(NamedTuple):
    """A study ready to be sent.

    Attributes:
        file: The study.
        files: What is sent, relative to the study's folder, sorted.
        variables: The environment that goes with it, by name.
    """

    file: StudyFile
    files: Sequence[Path]
    variables: dict[str, str]

    def unpack(self, folder: Path) -> None:
        """Copy the files to a folder, from where they are uploaded."""
        for name in self.files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.file.folder / name, target)


def parcel(
    path: Path,
    overrides: Sequence[str],
    shared: Sequence[Path] = (),
    variables: Iterable[str] = (),
    patterns: Iterable[str] = (),
) -> Parcel:
    """Read a study and gather what it needs elsewhere.

    Files and folders that the study and its tasks name go along if they lie in the study's folder
    and are written relative to it; beside them the Python files there. What lies in a shared
    folder, which nodes see under the same name, stays there.

    Args:
        path: The study file.
        overrides: Settings in place of the file's.
        shared: Folders that every node sees under the same name.
        variables: Names of environment variables that go along, beside those that paths name.
        patterns: More files of the study's folder that go along, such as ``words/*.txt``.

    Raises:
        ConfigError: The study is wrong, names what the cluster would not find, or is too large; or
            a variable is not set, or looks like a secret.
    """
    with named_paths() as named:
        file = load_study(path, overrides)
        _look_at_factors(file)
        if file.study.published:
            load_published(file.study.published, file.folder)
    names = _named_files(file, named, shared)
    names |= {
        script.relative_to(file.folder)
        for script in _files_in(file.folder)
        if script.suffix == ".py"
    }
    for pattern in patterns:
        names |= {
            match.relative_to(file.folder) for match in file.folder.glob(pattern) if match.is_file()
        }
    names.add(Path(file.path.name))
    _check_size(file, names)
    wanted = {*variables, *(name for named_path in named for name in _variables(named_path.text))}
    return Parcel(file, sorted(names), {name: _value(name) for name in sorted(wanted)})


def _look_at_factors(file: StudyFile) -> None:
    """Look at every level of every factor: they name files, too."""
    if not file.study.has_ranges:
        conditions(file, READERS)
        return
    space = Space(file)
    for point in space.cover():
        space.condition(point, space.rungs[-1])


def _variables(text: str) -> list[str]:
    return re.findall(r"\$\{([^}]*)\}", text)


def _value(name: str) -> str:
    if SECRET.search(name):
        raise ConfigError(
            f"{name} looks like a secret, and what goes with a job can be read by all who see the "
            "cluster. Set it on the nodes, such as by a secret of Kubernetes (cluster/README.md)."
        )
    if name not in os.environ:
        raise ConfigError(f"The variable {name} is not set; set it: export {name}=...")
    return os.environ[name]


def _named_files(file: StudyFile, named: Iterable[NamedPath], shared: Sequence[Path]) -> set[Path]:
    # conditions repeat what the study says, resolved: the first time a path is as it was written
    written = {named_path.path: named_path.text for named_path in reversed([*named])}
    stays = [*(place.absolute() for place in shared), *(Path(str(files(name))) for name in CODE)]
    names: set[Path] = set()
    lost: list[str] = []
    for path, text in reversed(written.items()):
        if any(path.is_relative_to(place) for place in stays):
            continue
        is_relative = not text.startswith(("/", "~", "${"))
        if not is_relative or not path.is_relative_to(file.folder):
            lost.append(f"  {text} ({path})" if is_relative else f"  {text}")
        elif not path.exists():
            raise ConfigError(f"{file.source} names {text}, and there is no {path}.")
        else:
            inside = _files_in(path) if path.is_dir() else [path]
            names |= {child.relative_to(file.folder) for child in inside}
    if lost:
        raise ConfigError(
            f"{file.source} names what is not in its folder, and would not be found on the "
            "cluster:\n" + "\n".join(lost) + "\nMove it beside the study and name "
            "it relative to that; or, if every node sees it under the same absolute name, say so: "
            "--shared FOLDER."
        )
    return names


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield a folder's files, without those of hidden, made and linked folders in it."""
    for place, folders, names in os.walk(folder):
        folders[:] = [
            child
            for child in folders
            if child not in LEFT
            and not child.startswith(".")
            and not Path(place, child, "pyvenv.cfg").exists()
        ]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _check_size(file: StudyFile, names: Iterable[Path]) -> None:
    sizes = {name: (file.folder / name).stat().st_size for name in names}
    total = sum(sizes.values())
    if total <= MOST_BYTES:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:LARGE_SHOWN]
    lines = [f"  {sizes[name] / 1e6:8.1f} MB  {name}" for name in largest]
    raise ConfigError(
        f"{file.source} would upload {total / 1e6:.0f} MB, more than {MOST_BYTES / 1e6:.0f}:\n"
        + "\n".join(lines)
        + "\nPut what is large where every node sees it, name it by its absolute path, and say so: "
        "--shared FOLDER. A model can be a hub name."
    )
