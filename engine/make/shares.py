"""What of the cluster generation takes, and what training beside it."""

from collections.abc import Iterable
from typing import NamedTuple

from engine.errors import ConfigError
from engine.generate.needs import JUDGING_CPUS, engine_needs
from engine.nodes.executor import Executor
from engine.nodes.room import Room
from engine.steps.pool import Pool
from engine.study.resources import Resources
from engine.train.placement import set_aside

FEW_CORES = 8  # with less, and no accelerator, each of the two would only slow the other down


class Shares(NamedTuple):
    """Room for each of the two.

    Attributes:
        generation: For engines; None if they have all there is, and what joins.
        training: For the workers beside them; None if they wait until generation has ended.
    """

    generation: Room | None
    training: Room | None


NO_SHARES = Shares(None, None)


def shares(executor: Executor, resources: Resources, pools: Iterable[Pool]) -> Shares:
    """Divide the cluster, as ``resources.share`` says.

    Engines come first: they get the replicas that the study asks for, at least, and workers what
    fits beside them.

    Raises:
        ConfigError: "split" is asked for, and there is no room for both.
    """
    is_ample = resources.share is None and _is_ample(executor.room())
    if resources.share != "split" and not is_ample:
        return NO_SHARES
    room = executor.room(JUDGING_CPUS)
    needs = [engine_needs(resources, pool.config.engine, room) for pool in pools]
    largest = {name: max(engine[name] for engine in needs) for name in needs[0]}
    least, most = _replicas(resources)
    # who asks for both must live with few engines; else they come first
    if not (engines := room.take(largest, least if resources.share == "split" else most)):
        return _without_room(resources)
    try:
        training = set_aside(resources, room)
    except ConfigError:
        room.give_back(largest, engines)
        return _without_room(resources)
    room.give_back(largest, engines)
    return Shares(room, training)


def _replicas(resources: Resources) -> tuple[int, int]:
    if isinstance(resources.replicas, list):
        return resources.replicas[0], resources.replicas[1]
    return resources.replicas, resources.replicas


def _is_ample(whole: Room) -> bool:
    return whole.has_gpu or whole.cpus >= FEW_CORES


def _without_room(resources: Resources) -> Shares:
    if resources.share is None:
        return NO_SHARES
    raise ConfigError(
        "resources.share is 'split', but there is no room for the engines and a training worker "
        'beside each other. Lower engine_cpus or fleet_cpus, or write share = "turns".'
    )
