"""The Dockerfiles, by a linter and against what pyproject.toml pins; none is built here."""

import re
import subprocess
import sys
import tomllib

import pytest
from command import REPOSITORY
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from jobs.remote.parcel import SECRET

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = {
    "Dockerfile.cpu": [*PROJECT["dependencies"], *EXTRAS["s3"], "boto3"],
    "Dockerfile.gpu": [*PROJECT["dependencies"], *EXTRAS["gpu"], *EXTRAS["s3"], "boto3"],
}
PLATFORM = {"Dockerfile.cpu": "cpu", "Dockerfile.gpu": "cu130"}


def instructions(name):
    """Return a Dockerfile's instructions, each on one line, with the word that it begins with."""
    text = (REPOSITORY / "cluster" / name).read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def test_no_dockerfile_is_left_out():
    assert set(WANTED) == {path.name for path in (REPOSITORY / "cluster").glob("*ockerfile*")}


@pytest.mark.parametrize("name", WANTED)
def test_a_dockerfile_has_none_of_the_known_faults(name):
    done = subprocess.run(
        ["hadolint", f"cluster/{name}"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", WANTED)
def test_what_is_installed_is_what_pyproject_lists(name):
    (step,) = (rest for word, rest in instructions(name) if "pip install" in rest)
    mounted, read = "target=/tmp/pyproject.toml", "/tmp/pyproject.toml"
    assert f"--mount=type=bind,source=pyproject.toml,{mounted} " in step
    (program,) = re.findall(r"python -c '([^']*)'\s+> /tmp/wanted.txt", step)
    assert "-r /tmp/wanted.txt" in step
    program = program.replace(read, str(REPOSITORY / "pyproject.toml"))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == WANTED[name]


@pytest.mark.parametrize("name", WANTED)
def test_the_base_has_the_pinned_ray_and_a_python_that_will_do(name):
    (base,) = (rest for word, rest in instructions(name) if word == "FROM")
    (tag,) = re.findall(r"^rayproject/ray:([\d.]+)-py3(\d+)-(\w+)$", base)
    (ray,) = (
        wanted for wanted in map(Requirement, PROJECT["dependencies"]) if wanted.name == "ray"
    )
    assert str(ray.specifier) == f"=={tag[0]}"
    assert f"3.{tag[1]}" in SpecifierSet(PROJECT["requires-python"])
    assert tag[2] == PLATFORM[name]


@pytest.mark.parametrize("name", WANTED)
def test_it_has_no_code_of_ours_no_secret_and_a_user_who_is_not_root(name):
    steps = instructions(name)
    assert {word for word, _ in steps} == {"FROM", "USER", "RUN", "ENV"}
    assert [rest for word, rest in steps if word == "USER"][-1] == "1000:100"
    for word, rest in steps:
        assert not (word == "ENV" and SECRET.search(rest))
        assert "type=secret" not in rest
