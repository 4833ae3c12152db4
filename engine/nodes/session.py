"""What a command works with: this process; or a Ray, its own or the one RAY_ADDRESS names."""

import atexit
import contextlib
import logging
import os
import re
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

from engine.errors import ConfigError, TextmillError
from engine.nodes.environment import set_up
from engine.nodes.here import is_working
from engine.nodes.lastword import last_word

OBJECT_STORE_BYTES = 400_000_000  # of a local Ray: only prompts and reports pass through it
GO_ON = "What was committed is kept. Run the same command to go on."
ENDED = f"error: The command was ended, by Ray, some of which has died, or from outside. {GO_ON}"
ENDED_HERE = f"error: The command was ended from outside, perhaps for want of memory. {GO_ON}"
ANSWER_S = 5.0
INTERRUPTED = 130  # exit status of a command that was
STARTS = 3  # that are tried of a local Ray


@contextlib.contextmanager
def here_session() -> Iterator[None]:
    """Let the body compute in this process, and see that somebody tells if it is ended."""
    set_up()  # for whoever has not
    with last_word(ENDED_HERE):
        try:
            yield
        except KeyboardInterrupt:
            atexit.register(_end_now)
            raise


def _end_now() -> None:
    """End an interrupted command at once: libraries abort it if their threads are cut off."""
    if is_working():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


@contextlib.contextmanager
def ray_session() -> Iterator[None]:
    """Lend the body a Ray; one that is already up is used and left up.

    A local one listens on loopback alone, unless Ray was imported before: the command and
    ``engine.api.Study`` call ``environment.set_up`` before they import what works with it.
    """
    set_up()  # for whoever has not, such as a script that imports Ray itself
    for name in ("ray.train", "ray._private.authentication"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import ray  # here: what is set above is read when it is imported

    if ray.is_initialized():
        yield
        return
    with last_word(ENDED):
        with _stderr_without(b"logging.cc"):  # where Ray tells that it obeys RAY_BACKEND_LOG_LEVEL
            _start()
        _quieten_data()
        try:
            yield
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError):  # of our code, with its traceback
                raise
            why = str(error).strip().partition("\n")[0]
            raise TextmillError(
                f"Ray failed: {error.__class__.__name__}: {why} What was committed is kept. Run "
                "the same command to go on."
            ) from error
        finally:
            ray.shutdown()


def _start() -> None:
    """Join the cluster that RAY_ADDRESS names, or start a Ray.

    Raises:
        ConfigError: There is no such cluster.
        TextmillError: No Ray starts.
    """
    import ray

    address = os.environ.get("RAY_ADDRESS")
    local: dict[str, Any] = {
        "address": "local",  # a bare init would join whatever cluster this machine has seen
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    if address and re.fullmatch(r"[^/]+:\d+", address) and not _answers(address):
        raise ConfigError(  # Ray would try for minutes
            f"RAY_ADDRESS is {address!r}, and no Ray answers there: is the cluster up?"
        )
    options = {} if address else local
    for remaining in reversed(range(1 if address else STARTS)):
        try:
            ray.init(logging_level=logging.WARNING, log_to_driver=False, **options)
        except Exception as error:  # Ray raises bare ones; it gives its processes half a minute
            ray.shutdown()
            why = str(error).strip().partition("\n")[0]
            if address:
                raise ConfigError(
                    f"RAY_ADDRESS is {address!r}, and no Ray can be joined there: {why}"
                ) from error
            if not remaining:
                raise TextmillError(
                    f"Ray did not start, {STARTS} times over: {why} If the machine is busy, run "
                    "the same command later."
                ) from error
        else:
            return


def _answers(address: str) -> bool:
    """Say whether somebody listens at an address, ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _stderr_without(noise: bytes) -> Iterator[None]:
    """Hold back what the body's C++ code writes to stderr, and pass on the lines without noise."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            lines = [line for line in held if noise not in line]
            os.write(2, b"".join(lines))


def _quieten_data() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # a pass that ends after one call had no use for more; Ray takes that for an oversight
    warnings.filterwarnings(
        "ignore", message="The maximum number of concurrent tasks for 'MapBatch"
    )
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # its log file stays as talkative as it is
            handler.setLevel(logging.ERROR)
