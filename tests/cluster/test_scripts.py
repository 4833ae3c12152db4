"""Shell scripts, by a checker that knows their pitfalls; and Slurm's, with stand-ins for Slurm."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from command import REPOSITORY

SCRIPTS = [
    ".ci/run",
    "jobs/bench/gpu.sh",
    *(f"cluster/{path.name}" for path in (REPOSITORY / "cluster").glob("*.sh")),
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_has_none_of_the_known_faults(script):
    done = subprocess.run(
        ["shellcheck", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_script_says_how_it_is_used():
    script = REPOSITORY / "cluster" / "local-head.sh"
    done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "local-head.sh start [FOLDER]" in done.stderr


SLURM = REPOSITORY / "cluster" / "slurm.sh"
SRUN = """#!/bin/bash
printf '%s\\n' "$@" > words
env > variables
touch begun
[ -z "${LASTS:-}" ] || sleep "$LASTS"
exit "${ENDS:-0}"
"""


@pytest.fixture
def batch(tmp_path):
    """Start a job's script as Slurm does on its first node, in a folder with its stand-ins."""
    for name, text in (("srun", SRUN), ("scontrol", '#!/bin/bash\necho "$@" > asked\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    own = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NUM_NODES": "4"}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RAY_AUTH_TOKEN": "of another cluster"}
    started = []

    def start(*words, **more):
        command = [str(SLURM), *words]
        known = {**os.environ, **path, **own, **more}
        started.append(
            subprocess.Popen(
                command, cwd=tmp_path, env=known, stderr=subprocess.PIPE, start_new_session=True
            )
        )
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)  # what Slurm would end
        one.wait()
        one.stderr.close()


def test_a_job_of_slurm_starts_ray_on_all_nodes_and_the_study_on_one(batch, tmp_path):
    from ray.scripts.symmetric_run import curate_and_validate_ray_start_args, symmetric_run

    job = batch("my study.toml", "/data/out", "--set", "train.steps=5", HEAD_ADDRESS="10.0.0.7")
    assert job.wait() == 0
    words = (tmp_path / "words").read_text().splitlines()
    assert "--ntasks=4" in words
    begin, end = words.index("ray"), words.index("--")
    ours = ["textmill", "run", "my study.toml", "--root", "/data/out", "--set", "train.steps=5"]
    assert words[end + 1 :] == ours
    assert words[begin + 1] == "symmetric-run"
    options = words[begin + 2 : end]
    given = symmetric_run.make_context("symmetric-run", options).params
    assert (given["address"], given["min_nodes"]) == ("10.0.0.7:6379", 4)
    assert curate_and_validate_ray_start_args(options) == []


def test_its_nodes_share_a_new_token_and_wait_for_each_other(batch, tmp_path):
    tokens = set()
    for _ in range(2):
        assert batch("study.toml", "out").wait() == 0
        lines = (tmp_path / "variables").read_text().splitlines()
        variables = dict(line.split("=", 1) for line in lines if "=" in line)
        tokens.add(variables["RAY_AUTH_TOKEN"])
        assert variables["RAY_AUTH_MODE"] == "token"
        assert variables["RAY_TMPDIR"] == "/tmp/ray-4711"
        assert variables["RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT"] == "300"
    assert len(tokens) == 2
    assert all(len(token) == 64 for token in tokens)


def test_it_ends_as_the_study_does(batch):
    assert batch("study.toml", "out", ENDS="2").wait() == 2


def test_when_its_time_is_up_it_is_queued_again(batch, tmp_path):
    job = batch("study.toml", "out", LASTS="60")
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    assert "#SBATCH --signal=B:USR1@" in SLURM.read_text()
    job.send_signal(signal.SIGUSR1)
    job.wait(timeout=20)
    assert (tmp_path / "asked").read_text().split() == ["requeue", "4711"]


def test_without_a_study_and_a_root_it_says_how_it_is_used(batch):
    refused = batch("study.toml")
    assert b"sbatch --nodes=4 cluster/slurm.sh STUDY ROOT" in refused.stderr.read()
    assert refused.wait() == 2
