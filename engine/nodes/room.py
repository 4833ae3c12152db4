"""What nodes have room for: actors, each of which must fit on one node."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import ConfigError

OWN = ("CPU", "GPU")  # what Ray has options of its own for, beside its custom resources


def custom_needs(accelerator: str | None, resources: Mapping[str, float]) -> dict[str, float]:
    """Return what an actor takes of the resources that tell nodes apart.

    Args:
        accelerator: A GPU's type as Ray calls it, such as "H100"; any will do if None.
        resources: Amounts of custom resources, by the names that nodes were started with.
    """
    # what Ray itself asks for where a type is named: a trace of a resource that such nodes have
    typed = {f"accelerator_type:{accelerator}": 0.001} if accelerator else {}
    return {**resources, **typed}


class Room:
    """What a cluster's nodes have left for actors, each of which must fit on one node.

    Ray would wait for ever for one that does not.

    Args:
        spared_cpus: CPUs that are left for other work beside them, on the roomiest node.

    Attributes:
        has_gpu: Whether any node has a GPU, taken or not.
    """

    def __init__(self, spared_cpus: float = 0) -> None:
        self._spared = spared_cpus
        nodes = [node for node in _nodes() if node["Alive"]]
        self._ids = [str(node["NodeID"]) for node in nodes]
        self._free: list[dict[str, float]] = [dict(node["Resources"]) for node in nodes]
        self.has_gpu = any(node.get("GPU") for node in self._free)
        roomiest = max(self._free, key=lambda node: node.get("CPU", 0))
        roomiest["CPU"] = roomiest.get("CPU", 0) - spared_cpus

    def fit(self, needs: Mapping[str, float], what: str) -> int:
        """Return how many actors with these needs fit, at least one.

        Args:
            needs: Amounts by resource, such as ``{"CPU": 1, "GPU": 0.5}``.
            what: The fields of ``[resources]`` that ask for it, for the message.

        Raises:
            ConfigError: Not one does.
        """
        fit = sum(_fit(node, needs) for node in self._free)
        if not fit:
            wanted = ", ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
            have = "; ".join(
                ", ".join(f"{node.get(name, 0):g} {name}" for name in needs) for node in self._free
            )
            spared = f", {self._spared:g} CPU set aside for the work beside it"
            raise ConfigError(
                f"{what} ask for {wanted} on one node, but the nodes have: {have}"
                f"{spared if self._spared else ''}."
            )
        return fit

    def fits(self, needs: Mapping[str, float]) -> dict[str, int]:
        """Return how many actors with these needs fit on each node, by its id."""
        return {name: _fit(node, needs) for name, node in zip(self._ids, self._free, strict=True)}

    @property
    def cpus(self) -> float:
        """How many CPUs there are, on all nodes together."""
        return sum(node.get("CPU", 0) for node in self._free)

    @property
    def gpus(self) -> float:
        """How many GPUs are left, on all nodes together."""
        return sum(node.get("GPU", 0) for node in self._free)

    def set_aside(self, parts: Iterable[tuple[str, Mapping[str, float], int]]) -> "Room":
        """Take what actors need, and return it as a room of its own.

        Args:
            parts: A node's id, what one actor needs, and how many there are.
        """
        reserved = copy.copy(self)
        reserved._free = [{} for _ in self._ids]
        for node, needs, count in parts:
            place = self._ids.index(node)
            for name, amount in needs.items():
                taken = amount * count
                reserved._free[place][name] = reserved._free[place].get(name, 0) + taken
                self._free[place][name] = self._free[place].get(name, 0) - taken
        reserved.has_gpu = reserved.gpus > 0
        return reserved

    def take(self, needs: Mapping[str, float], count: int) -> list[int]:
        """Take what so many actors need; return the nodes, or none if they do not all fit."""
        nodes: list[int] = []
        for place, node in enumerate(self._free):
            nodes += [place] * min(_fit(node, needs), count - len(nodes))
        if len(nodes) < count:
            return []
        for place in nodes:
            for name, amount in needs.items():
                self._free[place][name] = self._free[place].get(name, 0) - amount
        return nodes

    def give_back(self, needs: Mapping[str, float], nodes: Iterable[int]) -> None:
        """Give back what was taken."""
        for place in nodes:
            for name, amount in needs.items():
                self._free[place][name] += amount


def _nodes() -> list[dict[str, Any]]:
    import ray  # here, as everywhere below what computes: who finds all made needs none

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def alive_nodes() -> set[str]:
    """Return the ids of the nodes that are up."""
    return {str(node["NodeID"]) for node in _nodes() if node["Alive"]}


def _fit(node: Mapping[str, float], needs: Mapping[str, float]) -> int:
    asked = {name: amount for name, amount in needs.items() if amount}
    return min(int(node.get(name, 0) / amount + 1e-6) for name, amount in asked.items())
