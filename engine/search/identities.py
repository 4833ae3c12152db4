"""A mapping whose keys are objects themselves, whatever they are equal to."""

from collections.abc import Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class IdentityMap(Generic[Key, Value]):
    """Maps conditions, or cells: two of them may say the same, and belong to different trials.

    They hold mappings, and so have no hash. The keys are kept, or another object could come to have
    the identity of one that is gone.

    Args:
        pairs: Keys with their values; of the same key the last counts.
    """

    def __init__(self, pairs: Iterable[tuple[Key, Value]]) -> None:
        self._pairs = {id(key): (key, value) for key, value in pairs}

    def __contains__(self, key: Key) -> bool:
        return id(key) in self._pairs

    def __getitem__(self, key: Key) -> Value:
        return self._pairs[id(key)][1]
