"""The seam between what is to be done and what does it.

Two stand behind it. ``here`` (``engine.nodes.here``) is this one process, for the small work of one
machine; ``ray`` (``engine.nodes.on_ray``) is a Ray, for all that wants more. Stages, commits, the
ledger's rules and retries are the same for both, and so is what they make.

Whatever needs more of Ray than this (Ray Data's passes, Ray Train's groups, Ray Tune's trials) has
a module of its own beside the one that does the same here.
"""

import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from engine.errors import TextmillError
from engine.nodes.room import Room


class LostError(TextmillError):
    """What did a task, or was a service, is no more: its process died, or its node."""


class Reply(Protocol):
    """An answer that is to come."""

    def result(self) -> Any:  # noqa: ANN401 - whatever the method returns
        """Wait for it, and return it.

        Raises:
            LostError: The service is no more.
            Exception: What the method raised.
        """
        ...


class Service(Protocol):
    """One object that all who work together call, from whatever thread, process or node.

    Its methods run in turns; those that are coroutines may wait for each other. It can be handed
    to tasks and to processes.
    """

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - as above
        """Call a method, and return its answer."""
        ...

    def send(self, method: str, *args: object) -> Reply:
        """Call a method; its answer is to come."""
        ...

    def end(self) -> None:
        """Let go of the object, whatever it is at."""
        ...


class Done(NamedTuple):
    """What became of a task.

    Attributes:
        ticket: What ``begin`` returned.
        value: What the function returned; None if it raised.
        error: What it raised, or a ``LostError``; None if it returned.
    """

    ticket: int
    value: Any = None
    error: BaseException | None = None


class Tasks(Protocol):
    """Calls of one function, beside each other where there is room."""

    def begin(self, *args: object) -> int:
        """Begin a call; return its ticket."""
        ...

    def finished(self, seconds: float | None) -> list[Done]:
        """Return what has finished since the last time.

        Args:
            seconds: How long to wait for the first, if any is on; without end if None.
        """
        ...


class Needs(NamedTuple):
    """What a task takes of a node, and how often it is tried if its process dies.

    Attributes:
        cpus: CPUs.
        gpus: GPUs.
        tries: Times, one at least.
    """

    cpus: float = 1
    gpus: float = 0
    tries: int = 4


class Executor(Protocol):
    """What does the work.

    Attributes:
        name: How a study names it.
    """

    name: Literal["here", "ray"]

    def room(self, spared_cpus: float = 0) -> Room:
        """Return what there is to compute on.

        Args:
            spared_cpus: CPUs that are left for other work, on the roomiest node.
        """
        ...

    def nodes(self) -> set[str]:
        """Return the ids of the nodes that are up."""
        ...

    def service(self, kind: type, *args: object) -> Service:
        """Start a service, which takes no CPU and ends with this process at the latest.

        Args:
            kind: Its class.
            args: What the class is called with.
        """
        ...

    def tasks(self, function: Callable[..., object], needs: Needs) -> Tasks:
        """Return tasks of a function.

        Args:
            function: A function at the top of a module.
            needs: What each takes of a node.
        """
        ...


def running() -> Executor:
    """Return the executor that is up: this process's Ray if it has one, or else the process."""
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        from engine.nodes.on_ray import OnRay

        return OnRay()
    from engine.nodes.here import HERE

    return HERE
