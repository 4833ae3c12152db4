"""What of the cluster generation takes, and what training beside it."""

from collections.abc import Iterable
from typing import NamedTuple

from engine.errors import ConfigError
from engine.generate.pool import Pool
from engine.generate.stage import JUDGING_CPUS, engine_needs
from engine.session import Room
from engine.study.config import Resources
from engine.train.fleet import LARGEST_GROUP

FEW_CORES = 8  # with less, and no accelerator, each of the two would only slow the other down


class Shares(NamedTuple):
    """Room for each of the two.

    Attributes:
        generation: For engines.
        training: For the workers beside them; None if they wait until generation has ended.
    """

    generation: Room
    training: Room | None


def shares(where: Resources, pools: Iterable[Pool]) -> Shares:
    """Divide the cluster, as ``resources.share`` says.

    Engines come first: they get the replicas that the study asks for, at least, and workers what
    fits beside them.

    Raises:
        ConfigError: "split" is asked for, and there is no room for both.
    """
    room = Room(spared_cpus=JUDGING_CPUS)
    if where.share == "turns" or (where.share is None and not _is_ample(room)):
        return Shares(room, None)
    needs = [engine_needs(where, pool.config.engine, room) for pool in pools]
    most = {name: max(own[name] for own in needs) for name in needs[0]}
    least = where.replicas[0] if isinstance(where.replicas, list) else where.replicas
    engines = room.take(most, least)
    training = _set_aside(where, room) if engines else None
    room.give_back(most, engines)
    if training is None and where.share == "split":
        raise ConfigError(
            "resources.share is 'split', but there is no room for the engines and a training "
            'worker beside each other. Lower engine_cpus or fleet_cpus, or write share = "turns".'
        )
    return Shares(room, training)


def _is_ample(room: Room) -> bool:
    return room.has_gpu or room.cpus >= FEW_CORES


def _set_aside(where: Resources, room: Room) -> Room | None:
    """Take the workers' part; None if there is not enough for those that train a run together."""
    if where.fleet_gpus is None and room.has_gpu:  # whole ones: who shares them is found out later
        each = [
            {"CPU": workers * where.fleet_cpus, "GPU": 1.0}
            for workers in range(LARGEST_GROUP, 0, -1)
        ]
    else:
        each = [{"CPU": where.fleet_cpus, "GPU": where.fleet_gpus or 0.0}]
    for needs in each:
        fit = sum(min(LARGEST_GROUP, own) for own in room.fits(needs).values())
        if fit >= where.data_parallel:
            return room.set_aside(needs, min(fit, where.fleet or fit))
    return None
