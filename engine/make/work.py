"""What making a plan needs, as one value."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.make.progress import Watch
from engine.nodes.session import ray_session
from engine.plan.plan import Plan
from engine.store.store import Store
from engine.study.resources import Resources
from engine.train.placement import check_fleet


@dataclass(frozen=True)
class Work:
    """A plan, and with what it is made.

    Attributes:
        plan: The steps.
        store: The root.
        watch: Told of all progress.
        ray: Called before Ray is used; a Ray that is up needs nothing.
    """

    plan: Plan
    store: Store
    watch: Watch
    ray: Callable[[], None] = lambda: None

    def on(self, plan: Plan) -> "Work":
        """Return the same for another plan."""
        return replace(self, plan=plan)


class RayOnDemand:
    """Starts Ray when it is first needed: a study that is done already needs none."""

    def __init__(self, stack: contextlib.ExitStack, resources: Resources) -> None:
        self._stack, self._resources, self._is_up = stack, resources, False

    def __call__(self) -> None:
        """Start it, unless it is up."""
        if not self._is_up:
            self._stack.enter_context(ray_session())
            check_fleet(self._resources)
            self._is_up = True
