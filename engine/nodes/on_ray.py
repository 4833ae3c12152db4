"""The executor ``ray``: actors and tasks of the Ray that is up."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import ray
from ray.exceptions import RayError, RayTaskError

from engine.nodes.executor import Done, LostError, Needs, Reply, Service, Tasks
from engine.nodes.here import HERE
from engine.nodes.room import Room

Reference: TypeAlias = "ray.ObjectRef[Any]"


class Remote(Protocol):
    """A task, or a method of an actor."""

    def remote(self, *arguments: object) -> Reference:
        """Call it; return a reference to what it will return."""
        ...


class OnRay:
    """The Ray that is up, as an executor.

    Attributes:
        is_own: Whether it is on this machine alone, and ends with this process, which started it.
    """

    name: Literal["here", "ray"] = "ray"
    is_own = False

    def room(self, spared_cpus: float = 0) -> Room:
        """Return what its nodes have."""
        return Room(_nodes(), spared_cpus)

    def nodes(self) -> set[str]:
        """Return the ids of the nodes that are up."""
        return {str(node["NodeID"]) for node in _nodes() if node["Alive"]}

    def service(self, kind: type, *args: object) -> Service:
        """Start an actor on this process's node, which takes no CPU.

        In a Ray of this process's own it lives here, and spares the machine a process.
        """
        if self.is_own:
            return HERE.service(kind, *args)
        actor: Any = ray.remote(kind)
        return RayService(actor.options(num_cpus=0, label_selector=at_home()).remote(*args))

    def tasks(self, function: Callable[..., object], needs: Needs) -> Tasks:
        """Return tasks of Ray's."""
        return _RayTasks(
            task(function, num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=needs.tries - 1)
        )


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


class RayService:
    """An actor.

    Args:
        handle: Its handle.
    """

    def __init__(self, handle: Any) -> None:  # noqa: ANN401 - Ray's
        self._handle = handle

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever the method returns
        """Call a method, and return its answer."""
        return self.send(method, *args).result()

    def send(self, method: str, *args: object) -> Reply:
        """Call a method; its answer is to come."""
        return _RayReply(getattr(self._handle, method).remote(*args))

    def end(self) -> None:
        """End the actor, whatever it is at."""
        ray.kill(self._handle)


class _RayReply:
    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    def result(self) -> Any:  # noqa: ANN401 - whatever the method returns
        try:
            return ray.get(self._reference)
        except RayTaskError:  # of our code, with its traceback
            raise
        except RayError as error:
            why = str(error).strip().partition("\n")[0]
            raise LostError(
                f"Ray failed: {type(error).__name__}: {why} What was committed is kept. Run the "
                "same command to go on."
            ) from error


class _RayTasks:
    """Tasks of Ray's, told apart by tickets."""

    def __init__(self, remote: Remote) -> None:
        self._remote, self._count = remote, 0
        self._busy: dict[Reference, int] = {}

    def begin(self, *args: object) -> int:
        self._count += 1
        self._busy[self._remote.remote(*args)] = self._count
        return self._count

    def finished(self, seconds: float | None) -> list[Done]:
        if not self._busy:
            return []
        waiting = list(self._busy)
        ready, _ = ray.wait(waiting, num_returns=1, timeout=seconds)
        if ready:  # and whatever else is
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [self._done(reference) for reference in ready]

    def _done(self, reference: Reference) -> Done:
        ticket = self._busy.pop(reference)
        try:
            return Done(ticket, ray.get(reference))
        except RayTaskError as error:
            return Done(ticket, error=error.cause or error)
        except RayError as error:  # such as a process that dies again and again
            return Done(ticket, error=LostError(str(error).strip().partition("\n")[0]))


def at_home() -> dict[str, str]:
    """Return the label selector of this process's node: what runs there ends with it."""
    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}


def task_at_home(function: Callable[..., object], **options: object) -> Remote:
    """Return a function as a task of this process's node, which takes no CPU and is tried once."""
    return task(function, num_cpus=0, max_retries=0, label_selector=at_home(), **options)


def task(function: Callable[..., object], **options: object) -> Remote:
    """Return a function as a task.

    Args:
        function: The function.
        options: What Ray is told of it, such as ``num_cpus``.
    """
    # all at once: of max_calls, which has a process with a GPU end after its task and give the
    # memory back, Ray hears nothing later
    remote: Remote = ray.remote(**options)(function)  # type: ignore[call-overload]
    return remote
