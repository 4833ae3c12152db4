"""What making a plan needs, as one value."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.make.choose import choose
from engine.make.progress import Progress, Watch
from engine.nodes.executor import Executor, running
from engine.nodes.here import HERE
from engine.nodes.session import here_session, ray_session
from engine.plan.plan import Plan
from engine.status.survey import Survey
from engine.store.store import Store
from engine.train.placement import check_fleet


@dataclass(frozen=True)
class Work:
    """A plan, and with what it is made.

    Attributes:
        plan: The steps.
        store: The root.
        watch: Told of all progress.
        executor: Returns what does the work, and starts it if need be; what is up by default.
    """

    plan: Plan
    store: Store
    watch: Watch
    executor: Callable[[], Executor] = running

    def on(self, plan: Plan) -> "Work":
        """Return the same for another plan."""
        return replace(self, plan=plan)


IN_WORDS = {"here": "in this process", "ray": "on Ray"}


class ExecutorOnDemand:
    """Chooses and starts an executor when it is first needed: a study that is done needs none.

    Args:
        stack: Ends it.
        plan: The study, whose resources say where it is to be done.
        now: Returns what is there of it, in case that matters.
        watch: Told which it is, and why.
    """

    def __init__(
        self,
        stack: contextlib.ExitStack,
        plan: Plan,
        now: Callable[[], Survey],
        watch: Watch,
    ) -> None:
        self._stack, self._now, self._watch = stack, now, watch
        self._resources = plan.file.study.resources
        self._executor: Executor | None = None

    def __call__(self) -> Executor:
        """Return the executor.

        Raises:
            ConfigError: It has no room for a training worker, or cannot do what is asked of it.
        """
        if self._executor is None:
            self._executor = self._started()
        return self._executor

    def _started(self) -> Executor:
        name, why = choose(self._resources, self._now)
        self._watch(Progress("start", 0, 0, note=f"runs {IN_WORDS[name]}: {why}"))
        self._stack.enter_context(ray_session() if name == "ray" else here_session())
        executor = running() if name == "ray" else HERE
        check_fleet(self._resources, executor.room())
        return executor
