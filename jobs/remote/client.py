"""Talk to a cluster's job server: connect, send a study, follow it, stop it."""

import asyncio
import contextlib
import json
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from engine.errors import ConfigError, RootError, TextmillError
from engine.nodes.environment import QUIET
from engine.store.store import Store, is_url
from jobs.remote.parcel import CODE, Parcel

NAME_LENGTH = 12  # of the hash in a job's name
POLL_S = 1.0
ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}


class ClusterError(TextmillError):
    """The cluster does not answer, or refuses what it is asked."""


class Sent(NamedTuple):
    """A study at a cluster.

    Attributes:
        job: The job's name.
        is_new: Whether it was sent just now; else it was there already.
    """

    job: str
    is_new: bool


class Cluster:
    """A cluster's job server.

    Args:
        address: Where it is, such as ``http://127.0.0.1:8265``; as Ray's dashboard says.

    Raises:
        ConfigError: That is no web address, or the token that it wants is missing or wrong.
        ClusterError: Nothing answers there.
    """

    def __init__(self, address: str) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            raise ConfigError(
                f"address is {address!r}: give that of the cluster's dashboard, such as "
                "http://127.0.0.1:8265."
            )
        self.address = address.rstrip("/")
        self._has_token = _use_token()
        from ray.job_submission import JobSubmissionClient

        for name in ("ray.dashboard.modules", "ray._private.runtime_env"):
            for logger in (logger for logger in _loggers() if logger.name.startswith(name)):
                logger.setLevel(logging.WARNING)  # they tell of every upload and socket
        with self._asking():
            self._client: Any = JobSubmissionClient(self.address)

    def send(self, parcel: Parcel, words: Sequence[str], job: str) -> Sent:
        """Send a study, if it is not there; one that failed or was stopped is sent again.

        Args:
            parcel: The study and its files.
            words: The command's words behind ``textmill``.
            job: The job's name.
        """
        status = self.status(job)
        if status is not None and status not in ("FAILED", "STOPPED"):
            return Sent(job, is_new=False)
        if status is not None:
            self.forget(job)
        self.begin(words, job, parcel, {"study": parcel.file.study.name})
        return Sent(job, is_new=True)

    def begin(
        self, words: Sequence[str], job: str, parcel: Parcel | None, metadata: Mapping[str, str]
    ) -> None:
        """Begin a job.

        Args:
            words: The command's words behind ``textmill``.
            job: The job's name.
            parcel: What goes along beside textmill itself.
            metadata: What is noted with it.
        """
        with self._asking(), tempfile.TemporaryDirectory() as folder:
            if parcel:
                parcel.unpack(Path(folder))
            self._client.submit_job(
                entrypoint=shlex.join(["python", "-m", "jobs.cli", *words]),
                submission_id=job,
                metadata=dict(metadata),
                runtime_env={
                    "working_dir": folder,
                    "py_modules": [str(files(name)) for name in CODE],
                    "env_vars": {**QUIET, **(parcel.variables if parcel else {})},
                },
            )

    def forget(self, job: str) -> None:
        """Take a job that has ended off the cluster's list."""
        with self._asking():
            self._client.delete_job(job)

    def status(self, job: str) -> str | None:
        """Return how a job is, in Ray's words (RUNNING, FAILED, ...); None if there is none."""
        with self._asking():
            jobs = [
                job_info for job_info in self._client.list_jobs() if job_info.submission_id == job
            ]
        return str(jobs[0].status.value) if jobs else None

    def newest(self, study: str) -> str:
        """Return the newest job of the studies of a name.

        Raises:
            ConfigError: There is none.
        """
        with self._asking():
            jobs = [job_info for job_info in self._client.list_jobs() if job_info.metadata]
        of_study = [job_info for job_info in jobs if job_info.metadata.get("study") == study]
        if not of_study:
            raise ConfigError(f"The cluster at {self.address} has no job of the study {study!r}.")
        return str(max(of_study, key=lambda job_info: job_info.start_time or 0).submission_id)

    def exit_status(self, job: str) -> int:
        """Return a job's exit status once it has ended; 1 where Ray ended it, or lost it."""
        while (status := self.status(job)) not in ENDED:
            if status is None:
                raise ClusterError(f"The job {job} is gone from {self.address}.")
            time.sleep(POLL_S)
        with self._asking():
            code = self._client.get_job_info(job).driver_exit_code
        return 0 if status == "SUCCEEDED" else int(code or 1)

    def follow(self, job: str, say: Callable[[str], None]) -> None:
        """Pass on what a job says until it ends."""

        async def listen() -> None:
            async for part in self._client.tail_job_logs(job):
                say(part)

        with self._asking():
            asyncio.run(listen())

    def said(self, job: str) -> str:
        """Return what a job has said so far."""
        with self._asking():
            return str(self._client.get_job_logs(job))

    def stop(self, job: str) -> None:
        """Stop a job; what it committed stays."""
        with self._asking():
            self._client.stop_job(job)
        while self.status(job) not in {*ENDED, None}:
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what goes wrong between here and there into our words; none of them is a token."""
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            complaint = "refuses the token" if self._has_token else "wants a token"
            raise ConfigError(
                f"The cluster at {self.address} {complaint}. Set RAY_AUTH_TOKEN, or "
                "RAY_AUTH_TOKEN_PATH to a file that holds it: the one that the cluster was "
                "started with."
            ) from error
        except (ConnectionError, requests.RequestException) as error:
            raise ClusterError(
                f"Nothing answers at {self.address}: is it the address of the cluster's dashboard, "
                "and can this machine reach it?"
            ) from error
        except RuntimeError as error:
            raise ClusterError(f"The cluster at {self.address} refuses: {error}") from error


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.values()
    return [logger for logger in known if isinstance(logger, logging.Logger)]


def _use_token() -> bool:
    """Have the token sent if there is one, and tell; Ray's client would send none unless told to.

    Raises:
        ConfigError: RAY_AUTH_TOKEN_PATH names no file.
    """
    named, file = os.environ.get("RAY_AUTH_TOKEN_PATH"), Path("~/.ray/auth_token").expanduser()
    has_one = bool(os.environ.get("RAY_AUTH_TOKEN") or named or file.is_file())
    if named and not Path(named).is_file() and not os.environ.get("RAY_AUTH_TOKEN"):
        raise ConfigError(f"RAY_AUTH_TOKEN_PATH is {named!r}, and there is no such file.")
    if has_one:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    return has_one


def job_name(parcel: Parcel, root: str, command: str = "run") -> str:
    """Return a job's name, which is the same for the same study, files, root and command."""
    file = parcel.file
    whole = {
        "study": file.study.model_dump(mode="json"),
        "files": {str(name): _content(file.folder / name) for name in parcel.files},
        "variables": parcel.variables,
        "root": root,
        "command": command,
    }
    # wherever the study lies
    text = json.dumps(whole, sort_keys=True, default=str).replace(str(file.folder), "")
    return f"textmill-{file.study.name}-{sha256(text.encode()).hexdigest()[:NAME_LENGTH]}"


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def check_root(root: str, shared: Sequence[Path]) -> str:
    """Return a root that every node sees: a prefix of an object store, or a shared folder.

    Raises:
        RootError: It is one that not all of the nodes would see, or none at all.
    """
    store = Store.open(root)
    if is_url(root):
        return store.root
    path = Path(root).expanduser()
    if not path.is_absolute() or not any(
        path.is_relative_to(folder.absolute()) for folder in shared
    ):
        raise RootError(
            f"root is {root!r}: a cluster needs one that every node sees. Give a prefix of an "
            "object store, such as s3://bucket/textmill, or an absolute folder of a file system "
            "that all share, and say so: --shared FOLDER."
        )
    return str(path)
