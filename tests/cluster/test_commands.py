"""Every command line of textmill's that is printed for readers, taken by its own parser."""

import re
import shlex

import pytest
import typer
import yaml
from command import REPOSITORY

from jobs.cli import app

CLUSTER = REPOSITORY / "cluster"
PARTS = (".github", "engine", "jobs", "cluster", "tests")
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


def in_text(page):
    """Yield the commands that stand in a page's sentences and tables."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for span in re.findall(r"`(textmill [^`]+)`", re.sub(r"(?ms)^```.*?^```$", "", text)):
        yield " ".join(span.split())


def pages(repository):
    """Yield every page; what commands and tools left behind is none."""
    for part in ("*.md", *(f"{name}/**/*.md" for name in PARTS)):
        for path in repository.glob(part):
            if not {"textmill-out", ".pytest_cache"} & set(path.parts):
                yield path


def in_scripts():
    """Return the commands that scripts print or run; a variable counts as a word."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(CLUSTER.glob("*.sh")))
    text = text.replace(' "$@"', "")
    lines = re.findall(r"(?:^ *|echo \" *)(textmill [^\n]*?)(?: &|\")?$", text, re.MULTILINE)
    return "\n".join(lines)


def in_manifests():
    job = yaml.safe_load((CLUSTER / "kuberay-rayjob.yaml").read_text(encoding="utf-8"))
    return str(job["spec"]["entrypoint"])


PAGES = sorted(path.relative_to(REPOSITORY).as_posix() for path in pages(REPOSITORY))
PLACES = {page: blocks(page) for page in PAGES}
PLACES |= {"scripts": in_scripts(), "manifests": in_manifests()}
LEAST = {
    "README.md": 1,
    "jobs/README.md": 6,
    "jobs/bench/README.md": 8,
    "jobs/studies/README.md": 2,
    "jobs/studies/paper/README.md": 2,
    "jobs/studies/bike-shop/README.md": 1,
    "engine/search/README.md": 3,
    "cluster/README.md": 11,
    "scripts": 2,
    "manifests": 1,
}
IN_TEXT = sorted({(page, command) for page in PAGES for command in in_text(page)})
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


@pytest.mark.parametrize(("page", "text"), IN_TEXT)
def test_a_command_in_a_sentence_is_one_and_has_the_options_that_are_named(page, text):
    words = shlex.split(text.partition(",")[0])[1:]
    command = typer.main.get_command(app)
    while subcommands := getattr(command, "commands", None):
        if command.name == "bench" and words[:1] in ([], ["NAME"]):
            break
        assert words[0] in subcommands
        command = subcommands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_none_is_overlooked():
    assert len(IN_TEXT) >= 20
    for place, least in {**dict.fromkeys(PLACES, 0), **LEAST}.items():
        own = [words for found, words in LINES if found == place]
        assert len(own) >= least, f"{place}: {own}"
        named = re.findall(
            r"(?:textmill|jobs\.cli) (?:run|submit|plan|status|logs) ", PLACES[place]
        )
        assert len(named) <= len(own)
