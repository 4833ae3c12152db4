"""Where workers go: groups of them, each on one node, as the cluster has room."""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from engine.errors import ConfigError
from engine.nodes.room import Room, custom_needs
from engine.study.resources import Resources

LARGEST_GROUP = 8  # workers; a death restarts its whole group
FIELDS = "resources.fleet_cpus, fleet_gpus, fleet_accelerator and fleet_resources"


class Group(NamedTuple):
    """Workers on one node.

    Attributes:
        node: The node's id.
        workers: How many.
        needs: Amounts that each of them takes, by resource.
    """

    node: str
    workers: int
    needs: dict[str, float]


def layout(resources: Resources, room: Room, probe: Callable[[], int] = lambda: 1) -> list[Group]:
    """Return the groups of workers that the cluster has room for.

    Where the study does not say how many there are to be, a node without GPUs has one group, and
    one with GPUs as many as fill them.

    Args:
        resources: Workers, and CPUs and GPUs of each.
        room: What of the cluster they may take.
        probe: Returns how many workers may share a GPU; asked only where the study does not say.

    Raises:
        ConfigError: Not one group fits.
    """
    together = resources.data_parallel
    needs = {"CPU": resources.fleet_cpus, "GPU": _gpus_of_each(resources, room, probe)}
    needs |= custom_needs(resources.fleet_accelerator, resources.fleet_resources)
    room.fit(needs, FIELDS)
    groups = groups_on(room.fits(needs), needs, resources)
    if not groups:
        raise ConfigError(
            f"resources.data_parallel is {together}: so many workers must fit on one node beside "
            f"each other{f', and resources.fleet is {resources.fleet}' if resources.fleet else ''}."
        )
    return groups


def groups_on(
    fits: Mapping[str, int], needs: Mapping[str, float], resources: Resources, elsewhere: int = 0
) -> list[Group]:
    """Return the groups of workers for some nodes.

    Args:
        fits: How many workers fit on each node, by its id.
        needs: Amounts that each of them takes, by resource.
        resources: Workers.
        elsewhere: Those that there are on other nodes.
    """
    together = resources.data_parallel
    groups: list[Group] = []
    remaining = resources.fleet - elsewhere if resources.fleet else math.inf
    usual = math.inf if resources.fleet or needs["GPU"] else LARGEST_GROUP * together
    for node, fit in fits.items():
        on_node = min(fit, remaining, usual)
        while on_node >= together:
            size = together if together > 1 else int(min(on_node, LARGEST_GROUP))
            groups.append(Group(node, size, dict(needs)))
            on_node, remaining = on_node - size, remaining - size
    return groups


def _gpus_of_each(resources: Resources, room: Room, probe: Callable[[], int]) -> float:
    if resources.fleet_gpus is not None:
        return resources.fleet_gpus
    if not room.has_gpu:
        return 0.0
    if not shares_gpus(resources, room):
        return 1.0
    return share_of_one(min(probe(), _most_on_a_gpu(resources, room)))


def shares_gpus(resources: Resources, room: Room) -> bool:
    """Say whether workers may share GPUs, as many as the runs' memory allows."""
    if resources.fleet_gpus is not None or not room.has_gpu or resources.data_parallel > 1:
        return False
    return _most_on_a_gpu(resources, room) > 1


def _most_on_a_gpu(resources: Resources, room: Room) -> int:
    """Return how many may share one: Ray fills a GPU before the next, and none should lie idle."""
    if resources.fleet is None:
        return LARGEST_GROUP
    return min(LARGEST_GROUP, math.ceil(resources.fleet / max(1.0, room.gpus)))


def share_of_one(workers: int) -> float:
    """Return a GPU's share for each of so many workers, as Ray counts: in ten-thousandths."""
    return math.floor(10_000 / workers) / 10_000


def check_fleet(resources: Resources, room: Room) -> None:
    """Make sure that a group of workers fits, before anything is made.

    Raises:
        ConfigError: It does not.
    """
    layout(resources, room)


def set_aside(resources: Resources, room: Room) -> Room:
    """Take what workers need, and return it as a room of their own.

    Where it is not known yet how many share a GPU, whole ones are taken, with CPUs for as many
    workers as there may be.

    Raises:
        ConfigError: Not one group fits.
    """
    if resources.fleet_gpus is not None or not room.has_gpu or resources.data_parallel > 1:
        return _taken(room, layout(resources, room))
    plans: list[list[Group]] = []
    for sharing in range(_most_on_a_gpu(resources, room), 0, -1):
        whole = resources.model_copy(
            update={
                "fleet": resources.fleet and math.ceil(resources.fleet / sharing),
                "fleet_cpus": resources.fleet_cpus * sharing,
                "fleet_gpus": 1.0,
            }
        )
        # with the last of them, which needs least, room for one is a must
        with contextlib.suppress(*([] if sharing == 1 else [ConfigError])):
            plans.append(layout(whole, room))
    # no GPU lies idle for want of the CPUs that more workers on another would take
    return _taken(room, max(plans, key=lambda groups: sum(group.workers for group in groups)))


def _taken(room: Room, groups: list[Group]) -> Room:
    return room.set_aside([(group.node, group.needs, group.workers) for group in groups])
