"""Ray's handles, with types: actors and tasks that live on the driver's node, and end with it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import ray  # imported by what calls it: who finds all made needs none

Reference: TypeAlias = "ray.ObjectRef[Any]"


class Remote(Protocol):
    """A task, or a method of an actor."""

    def remote(self, *arguments: object) -> Reference:
        """Call it; return a reference to what it will return."""
        ...


class Actor(Protocol):
    """An actor's handle: its methods are called by their names."""

    def __getattr__(self, method: str) -> Remote:
        """Return a method."""
        ...


def at_home() -> dict[str, str]:
    """Return the label selector of this process's node: what runs there ends with it."""
    import ray

    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}


def actor_at_home(kind: type, *arguments: object) -> Actor:
    """Start an actor on this process's node, which takes no CPU.

    Args:
        kind: Its class.
        arguments: What the class is called with.
    """
    import ray

    handle: Any = ray.remote(kind)
    actor: Actor = handle.options(num_cpus=0, label_selector=at_home()).remote(*arguments)
    return actor


def end(actor: Actor) -> None:
    """End an actor, whatever it is at."""
    import ray

    handle: Any = actor
    ray.kill(handle)


def task_at_home(function: Callable[..., object]) -> Remote:
    """Return a function as a task of this process's node, which takes no CPU and is tried once."""
    return task(function, num_cpus=0, max_retries=0, label_selector=at_home())


def task(function: Callable[..., object], **options: object) -> Remote:
    """Return a function as a task.

    Args:
        function: The function.
        options: What Ray is told of it, such as ``num_cpus``.
    """
    import ray

    remote: Any = ray.remote(function)
    configured: Remote = remote.options(**options)
    return configured
