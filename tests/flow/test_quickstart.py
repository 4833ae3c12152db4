"""The quickstart, cut off from any network: whole, as users run it, and a smaller one."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import COMMAND, REPOSITORY, environment

from jobs.quickstart import STUDY, overrides

GUARD = REPOSITORY / "tests" / "helpers" / "no_network"


# Ray's dashboard process asks at every start in which cloud it is, whatever it is told, and sends
# nothing; on a machine that is none of a cloud's these names and addresses do not answer.
RAY_LOOKS_UP = {"look up 169.254.169.254", "look up metadata.google.internal"}


def cut_off(folder):
    """Return an environment in which no Python process can reach another machine."""
    plain = environment(NO_NETWORK_LOG=str(folder / "reached.log"))
    own = {"PYTHONPATH": f"{GUARD}:{plain['PYTHONPATH']}", "HF_HUB_OFFLINE": "0"}
    return {**plain, **own}


def smaller():
    """Return what does the same study with a third of its rows and one repeat."""
    given = [
        *overrides(),
        "repeats=1",
        "factors={strategy=['zero_shot'], trainer=['head', 'finetune'], quantity=[0, 60, 240], "
        "real=[0, 100]}",
        "exclude=[{trainer='finetune', quantity=[60]}, {trainer='finetune', real=0}]",
    ]
    return ["run", str(STUDY), *(word for one in given for word in ("--set", one))]


def quickstart(folder, words):
    return subprocess.run(
        [*COMMAND, *words, "--root", "root"],
        cwd=folder,
        env=cut_off(folder),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def reached(folder):
    log = folder / "reached.log"
    return set(log.read_text().splitlines()) if log.exists() else set()


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_guard_lets_nobody_out(tmp_path):
    code = "import urllib.request as u; u.urlopen('http://example.com', timeout=5)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=cut_off(tmp_path), capture_output=True, check=False
    )
    assert done.returncode
    assert "look up example.com" in (tmp_path / "reached.log").read_text()


@pytest.mark.parametrize("is_whole", [False, pytest.param(True, marks=pytest.mark.long)])
def test_quickstart_does_a_whole_study_offline_and_then_has_nothing_to_do(tmp_path, is_whole):
    words = ["quickstart"] if is_whole else smaller()
    done = quickstart(tmp_path, words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert reached(tmp_path) <= RAY_LOOKS_UP
    report = Path(re.search(r"Report: (\S+)", done.stdout)[1])
    page = report.read_text(encoding="utf-8")
    assert "finetune" in page
    assert "written by a toy" in page
    assert "model textmill-demo, temperature 1.0" in page
    assert ("textmill run my-study.toml" in done.stdout) == is_whole
    results = pq.read_table(report.parent / "results.parquet").to_pylist()
    test = [row for row in results if row["split"] == "test"]
    made = {"head": set(), "finetune": set()}
    for row in test:
        key = (row["strategy"], row["quantity"], row["real"], row["repeat"])
        made[row["trainer"]].add(key)
    wanted = {
        (strategy, quantity, real, repeat)
        for strategy in ("zero_shot", "topic", "few_shot")[: 3 if is_whole else 1]
        for quantity in ((60, 120, 240) if is_whole else (60, 240))
        for real in (0, 100)
        for repeat in ((0, 1, 2) if is_whole else (0,))
    }
    assert wanted <= made["head"]
    assert {key[1:3] for key in made["finetune"]} == {(0, 100), (240, 100)}
    scores = [row["accuracy"] for row in test]
    assert 1 / 3 < max(scores) < 1
    assert len(set(scores)) > (10 if is_whole else 3)

    before = times(tmp_path / "root" / "pools") | times(tmp_path / "root" / "runs")
    again = quickstart(tmp_path, words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert times(tmp_path / "root" / "pools") | times(tmp_path / "root" / "runs") == before
    assert before
    assert again.stdout.splitlines()[0] == done.stdout.splitlines()[0]
