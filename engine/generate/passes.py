"""A pass: engines of one kind that answer calls until the ledger says that there are no more.

Ray has ``engine.generate.pass_on_ray``, and a process by itself ``engine.generate.pass_here``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.generate.calls import LedgerClient
from engine.generate.engine import Setup
from engine.nodes.executor import Executor
from engine.steps.pool import Pool

AHEAD = 2  # calls that wait at an actor, so that it need not wait for them


@dataclass(frozen=True)
class Pass:
    """What a pass is to do.

    Attributes:
        client: The group's place at the ledger.
        pools: The pools that it begins with, by fingerprint.
        setup: What its engines are built from.
        needs: What each takes of a node, by resource.
        least: Engines that there are at any time, at least.
        width: Engines that there is room for now.
        most: Engines that there may be, if there will be room.
        calls_in_flight: Calls that an engine works on at a time.
    """

    client: LedgerClient
    pools: Mapping[str, Pool]
    setup: Setup
    needs: Mapping[str, float]
    least: int
    width: int
    most: int
    calls_in_flight: int


def run_pass(executor: Executor, task: Pass) -> None:
    """Answer calls until the ledger says that there are no more.

    Raises:
        InputError: The user gave something wrong.
        EngineLostError: A process or a node that it cannot do without is gone: it may begin anew.
    """
    if executor.name == "ray":  # each is loaded where it is wanted alone: Ray takes its time
        from engine.generate.pass_on_ray import run_pass as run
    else:
        from engine.generate.pass_here import run_pass as run
    run(task)


def said(error: BaseException | None) -> str:
    """Return an error in a line: the last of what it says, where Ray has the cause."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
