"""``textmill submit``, ``logs`` and ``stop``: a study, or a search, as a job of a cluster."""

import contextlib
import json as jsonlib
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.errors import ConfigError
from engine.search.space import Space
from engine.study.load import load_study
from jobs.doctor.versions import versions
from jobs.remote.client import ENDED, NAME_LENGTH, Cluster, ClusterError, check_root, job_name
from jobs.remote.parcel import Parcel, parcel

LAST_LINES = 3  # of what a job said, with its status


class Submission(NamedTuple):
    """A study, and where it is to be done.

    Attributes:
        study: The study file.
        overrides: Settings in place of the file's.
        address: That of the cluster's dashboard.
        root: A folder that every node sees.
        shared: Folders that every node sees under the same name.
        variables: Names of environment variables that go along.
        patterns: More files of the study's folder that go along.
        command: What is done with it there: "run" or "search".
    """

    study: Path
    overrides: Sequence[str]
    address: str
    root: str
    shared: Sequence[Path] = ()
    variables: Sequence[str] = ()
    patterns: Sequence[str] = ()
    command: str = "run"

    def packed(self) -> tuple[Parcel, str]:
        """Return what is sent, and the job's name.

        Raises:
            InputError: The study is wrong, or needs what the cluster would not find.
        """
        root = check_root(self.root, self.shared)
        packed = parcel(self.study, self.overrides, self.shared, self.variables, self.patterns)
        if self.command == "search":
            Space(packed.file)
        elif packed.file.study.has_ranges:
            raise ConfigError(
                f"{self.study.name} has ranges, which are for a search: submit it with --search."
            )
        return packed, job_name(packed, root, self.command)

    @property
    def words(self) -> list[str]:
        """The command's words on the cluster, where the study's folder is the current one."""
        root = check_root(self.root, self.shared)
        return [self.command, self.study.name, "--root", root, *self.changes]

    @property
    def changes(self) -> list[str]:
        """The command's words for what is changed of the study."""
        return [word for override in self.overrides for word in ("--set", override)]


def submit(submission: Submission, *, follows: bool) -> int:
    """Send a study, or attach to it where it is there; return the command's exit status.

    Raises:
        InputError: What the user gave is wrong; nothing was sent.
        ClusterError: The cluster does not answer, or refuses.
    """
    packed, job = submission.packed()
    cluster = Cluster(submission.address)
    sent = cluster.send(packed, submission.words, job)
    _say(f"{'sent' if sent.is_new else 'is there already'}: {job}")
    if follows:
        return follow(cluster, job)
    _say(
        f"`textmill logs {submission.study}` follows it, `textmill stop {submission.study}` ends it"
    )
    return 0


def doctor(submission: Submission, *, has_study: bool, json: bool) -> int:
    """Have a cluster look at itself; return the command's exit status.

    Args:
        submission: The cluster, the root, and the study if there is one.
        has_study: Whether there is one.
        json: Whether it is told in JSON.

    Raises:
        InputError: What the user gave is wrong; nothing was sent.
        ClusterError: The cluster does not answer, or refuses.
    """
    packed = submission.packed()[0] if has_study else None
    study = [submission.study.name, *submission.changes] if has_study else []
    root = check_root(submission.root, submission.shared)
    words = ["doctor", *study, "--root", root, "--against", jsonlib.dumps(versions())]
    words += ["--json"] if json else []
    cluster, job = Cluster(submission.address), f"textmill-doctor-{uuid.uuid4().hex[:NAME_LENGTH]}"
    cluster.begin(words, job, packed, {})
    try:
        cluster.follow(job, _pass_on)
        return cluster.exit_status(job)
    except KeyboardInterrupt:
        cluster.stop(job)
        return 130
    finally:
        with contextlib.suppress(ClusterError):
            cluster.forget(job)


def follow(cluster: Cluster, job: str) -> int:
    """Pass on what a job says until it ends; return its exit status."""
    try:
        cluster.follow(job, _pass_on)
    except KeyboardInterrupt:
        _say(f"\n{job} goes on; textmill stop ends it")
        return 130
    status = cluster.exit_status(job)
    _say(f"{job}: {(cluster.status(job) or 'gone').lower()}")
    return status


def logs(study: Path, address: str, *, follows: bool) -> int:
    """Pass on what a study's newest job has said, or says until it ends; return its exit status.

    Raises:
        ConfigError: The study is wrong, or there is no such job.
        ClusterError: The cluster does not answer.
    """
    cluster, job = _newest_job(study, address)
    if follows:
        return follow(cluster, job)
    _pass_on(cluster.said(job))
    return 0


def stop(study: Path, address: str) -> None:
    """Stop a study's newest job; what it has made stays, and another submit goes on with it.

    Raises:
        ConfigError: The study is wrong, or there is no such job.
        ClusterError: The cluster does not answer.
    """
    cluster, job = _newest_job(study, address)
    if cluster.status(job) in ENDED:
        _say(f"{job} has ended already")
        return
    cluster.stop(job)
    _say(f"{job}: stopped; submit it again to continue")


def status(study: Path, address: str) -> str:
    """Return how a study's newest job is, and the last thing that it said.

    Raises:
        ConfigError: The study is wrong, or there is no such job.
        ClusterError: The cluster does not answer.
    """
    cluster, job = _newest_job(study, address)
    lines = [f"{job}: {(cluster.status(job) or 'gone').lower()}"]
    said = [line for line in cluster.said(job).splitlines() if line.strip()]
    return "\n".join([*lines, *(f"  {line}" for line in said[-LAST_LINES:])])


def _newest_job(study: Path, address: str) -> tuple[Cluster, str]:
    name = load_study(study).study.name
    cluster = Cluster(address)
    return cluster, cluster.newest(name)


def _pass_on(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
