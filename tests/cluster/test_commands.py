"""Every command line of textmill's that is printed for readers, taken by its own parser."""

import re
import shlex

import pytest
import typer
import yaml
from command import REPOSITORY

from jobs.cli import app

CLUSTER = REPOSITORY / "cluster"
PROGRAMS = (["textmill"], ["python", "-m", "jobs.cli"])


def commands(text):
    """Return the words behind the program's name, of each command in lines of a shell."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for part in re.split(r"\0(?:&&|\|\||[;|&])\0", "\0" + "\0".join(words) + "\0"):
            own = [word for word in part.split("\0") if word]
            while own and re.match(r"\w+=", own[0]):
                del own[0]
            found += [own[len(name) :] for name in PROGRAMS if own[: len(name)] == name]
    return found


def blocks(path):
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def in_scripts():
    """Return the commands that scripts print or run; a variable counts as a word."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(CLUSTER.glob("*.sh")))
    text = text.replace(' "$@"', "")
    lines = re.findall(r"(?:^ *|echo \" *)(textmill [^\n]*?)(?: &|\")?$", text, re.MULTILINE)
    return "\n".join(lines)


def in_manifests():
    job = yaml.safe_load((CLUSTER / "kuberay-rayjob.yaml").read_text(encoding="utf-8"))
    return str(job["spec"]["entrypoint"])


PLACES = {
    "README.md": blocks("README.md"),
    "cluster/README.md": blocks("cluster/README.md"),
    "scripts": in_scripts(),
    "manifests": in_manifests(),
}
LEAST = {"README.md": 15, "cluster/README.md": 5, "scripts": 2, "manifests": 1}
LINES = [(place, words) for place, text in PLACES.items() for words in commands(text)]


def parse(words):
    """Parse a command line as the program does, and do nothing; raise what it would."""
    command, name, rest = typer.main.get_command(app), "textmill", list(words)
    while subcommands := getattr(command, "commands", None):
        if not rest or rest[0] not in subcommands:
            raise LookupError(f"{name} has no command {' '.join(rest)!r}")
        name = rest.pop(0)
        command = subcommands[name]
    command.make_context(name, rest).close()


@pytest.mark.parametrize(
    ("place", "words"), LINES, ids=[f"{place}: {' '.join(words)}" for place, words in LINES]
)
def test_a_printed_command_can_be_given(place, words):
    parse(words)


def test_none_is_overlooked():
    for place, least in LEAST.items():
        own = [words for found, words in LINES if found == place]
        assert len(own) >= least, f"{place}: {own}"
        named = re.findall(
            r"(?:textmill|jobs\.cli) (?:run|submit|plan|status|logs) ", PLACES[place]
        )
        assert len(named) <= len(own)
