"""Make segments of pools: passes over engine actors, fed while they run."""

import contextlib
import gc
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from engine.errors import EngineLostError
from engine.fingerprint import digest
from engine.generate.calls import LedgerClient
from engine.generate.engine import Setup, engine_class
from engine.generate.events import Event, GivenUp, Lost, Made, Refused, SegmentRef
from engine.generate.ledger import Ledger, Terms
from engine.generate.needs import FIELDS, JUDGING_CPUS, engine_needs
from engine.generate.passes import AHEAD, Pass, run_pass, said
from engine.models import Model
from engine.nodes.executor import Executor, Service, running
from engine.nodes.room import Room
from engine.steps.pool import Pool, Want, by_fingerprint
from engine.store.segments import SMALLEST
from engine.store.store import Store
from engine.study.resources import Resources

POLL_S = 0.2  # longest wait for news
ROOM = 8192  # rows whose prompts may be worded before their turn, at least
TRIES = 3  # passes that end by themselves, without a segment made, before their group is given up


def generate(
    wants: Sequence[Want],
    store: Store,
    resources: Resources,
    on_made: Callable[[Made], None],
    made_for: str = "",
) -> None:
    """Make these segments of pools, and no others.

    Args:
        wants: The segments, the most urgent first.
        store: Where they are committed.
        resources: Engines' resources.
        on_made: Told of each segment that is there.
        made_for: The study that they are made for.

    Raises:
        InputError: An engine cannot do what the user asked of it.
        EngineLostError: No engine is left that works.
    """
    with Generation([want.pool for want in wants], store, resources, made_for) as generation:
        generation.want(wants)
        while generation.is_waiting:
            for event in generation.hear(POLL_S):
                if isinstance(event, Made):
                    on_made(event)
                if isinstance(event, GivenUp):
                    raise EngineLostError(event.cause)
            generation.finish([])  # so that groups that wait for its room begin


@dataclass
class _Group:
    """Pools whose engines start alike, and the pass that makes them, once it has begun."""

    name: str
    key: str  # what its engines start with
    pools: dict[str, Pool]
    is_concurrent: bool
    needs: dict[str, float]
    least: int
    most: int
    wanted: set[SegmentRef] = field(default_factory=set)
    nodes: list[int] = field(default_factory=list)  # where each replica is
    thread: threading.Thread | None = None
    failure: Exception | None = None
    ends: int = 0  # of passes, in a row, that ended by themselves
    is_over: bool = False

    @property
    def adapters(self) -> list[Model]:
        """The adapters of its pools, each once."""
        adapters = {
            pool.adapter.place: pool.adapter for pool in self.pools.values() if pool.adapter
        }
        return list(adapters.values())


class Lease(NamedTuple):
    """What engines run on, what of it they may take, and for how long.

    Attributes:
        executor: What they run on.
        room: What they may take; all but what judging needs if None.
        lasts: Whether engines stay up when nothing more is wanted of them, until others need their
            room, since more may be wanted later.
    """

    executor: Executor
    room: Room | None = None
    lasts: bool = False


class Generation(contextlib.ExitStack):
    """The engines of some pools, from their start until nothing more is wanted.

    Pools whose engines start alike are made together, in one pass. Passes run side by
    side where the cluster has room for their engines, else one after another; a pass begins, and
    its engines start, with the first segment that is wanted of it. Use it as a context manager.

    Args:
        pools: The pools; others may join them.
        store: Where segments are committed.
        resources: Engines' resources.
        made_for: The study that rows are made for.
        lease: What the engines run on, what of it they may take, and for how long; all of what is
            up, for this alone, if None.

    Raises:
        ConfigError: An engine does not fit into the cluster.
    """

    def __init__(
        self,
        pools: Iterable[Pool],
        store: Store,
        resources: Resources,
        made_for: str = "",
        lease: Lease | None = None,
    ) -> None:
        super().__init__()
        self._store, self._resources, self._made_for = store, resources, made_for
        lease = lease or Lease(running())
        self._executor = lease.executor
        self._room = lease.room or lease.executor.room(JUDGING_CPUS)
        self._has_all, self._lasts = lease.room is None, lease.lasts
        self._groups: dict[str, _Group] = {}
        self._group_of: dict[str, str] = {}  # by pool
        self._first = self._take_in(pools)
        self._ledger: Service

    def __enter__(self) -> Self:
        self._ledger = self._executor.service(Ledger, {})
        self.push(self._end_all)
        self._announce(self._first)
        return self

    def open(self, pools: Iterable[Pool]) -> None:
        """Take in pools that something may be wanted of now; engines that are up serve them, too.

        Raises:
            ConfigError: An engine does not fit into the cluster.
        """
        self._announce(self._take_in(pools))

    def _take_in(self, pools: Iterable[Pool]) -> list[Pool]:
        """Give each pool its group, and return those that had none."""
        new = []
        for pool in by_fingerprint(pools).values():
            group_name = self._group_of.get(pool.fingerprint)
            if group_name is None or self._groups[group_name].is_over:
                self._group_of[pool.fingerprint] = self._find_group(pool).name
                new.append(pool)
        return new

    def _find_group(self, pool: Pool) -> "_Group":
        """Return the group that makes a pool; a new one if there is none whose engines can."""
        key = _engine_key(pool)
        for group in self._groups.values():
            knows = pool.adapter is None or group.thread is None or pool.adapter in group.adapters
            if group.key == key and not group.is_over and knows:
                group.pools[pool.fingerprint] = pool
                return group
        name = f"{key}-{len(self._groups)}"
        self._groups[name] = self._group(name, key, {pool.fingerprint: pool})
        return self._groups[name]

    def _announce(self, pools: Sequence[Pool]) -> None:
        by_group: dict[str, dict[str, Pool]] = {}
        for pool in pools:
            self._store.commit_recipe(pool.folder, pool.recipe())
            members = by_group.setdefault(self._group_of[pool.fingerprint], {})
            members[pool.fingerprint] = pool
        for name, members in by_group.items():
            self._ledger.call("open", name, self._terms(self._groups[name]), members)

    def _end_all(self, kind: type[BaseException] | None, *_: object) -> None:
        for group in self._groups.values():
            self._client(group).call("close")
        if kind is not KeyboardInterrupt:  # else all of it is about to end
            for group in self._groups.values():
                if group.thread:
                    group.thread.join()  # so that its memory is free when this returns
            gc.collect()  # a pass that failed keeps its actors alive in cycles
            self._ledger.end()

    def want(self, wants: Sequence[Want]) -> None:
        """Ask for segments, the most urgent first; each once."""
        by_group: dict[str, list[SegmentRef]] = {}
        for want in wants:
            part = SegmentRef(want.pool.fingerprint, want.segment)
            group = self._groups[self._group_of[part.pool]]
            if part not in group.wanted and not group.is_over:
                group.wanted.add(part)
                by_group.setdefault(group.name, []).append(part)
        for name, parts in by_group.items():
            self._client(self._groups[name]).call("want", parts)
        self._begin_passes()

    @property
    def is_waiting(self) -> bool:
        """Whether a segment that is wanted is not there yet."""
        return any(group.wanted for group in self._groups.values())

    def pools_of(self, group: str) -> list[str]:
        """Return the fingerprints of a group's pools."""
        return list(self._groups[group].pools)

    def finish(self, still_open: Collection[str]) -> None:
        """End the passes of all pools but these (fingerprints), once what they want is there."""
        is_needed = any(group.wanted and group.thread is None for group in self._groups.values())
        for group in self._groups.values():
            is_done = not group.wanted and not group.pools.keys() & set(still_open)
            if is_done and (is_needed or not self._lasts):
                self._end(group)
        self._begin_passes()

    def hear(self, seconds: float) -> list[Event]:
        """Return what happened since the last time, after so many seconds at most.

        Raises:
            InputError: An engine cannot do what the user asked of it.
            UnwritableError: The root takes no more.
        """
        events: list[Event] = self._ledger.call("hear", seconds)
        for event in events:
            group = self._groups[event.group]
            if isinstance(event, Refused):
                raise event.error
            if isinstance(event, Made):
                group.wanted.discard(event.part)
                group.ends = 0
            if isinstance(event, GivenUp):
                group.wanted.clear()
                self._end(group)
        return [*events, *self._look_after_passes()]

    def _look_after_passes(self) -> list[Event]:
        """Begin passes anew that ended before they should, and those that there is room for now."""
        events: list[Event] = []
        for group in self._groups.values():
            if group.thread is None or group.thread.is_alive():
                continue
            group.thread = None
            gc.collect()  # a pass that failed keeps its actors, and their memory, alive in cycles
            self._room.give_back(group.needs, group.nodes)
            if group.is_over:
                continue
            if not isinstance(group.failure, EngineLostError):
                raise group.failure or RuntimeError("a pass ended before it was told to")
            group.ends += 1
            cause = said(group.failure)
            if group.ends >= TRIES:
                self._end(group)
                group.wanted.clear()
                events.append(GivenUp(group.name, cause))
                continue
            events.append(Lost(group.name, "", cause))
            self._client(group).call("begin_anew")
        self._begin_passes()
        return events

    def _end(self, group: _Group) -> None:
        if not group.is_over:
            group.is_over = True
            self._client(group).call("close")

    def _begin_passes(self) -> None:
        """Begin the passes that there is room for, in order, at their least width, then widen."""
        idle = [group for group in self._groups.values() if group.wanted and group.thread is None]
        for group in idle:
            group.nodes = self._room.take(group.needs, group.least)
        begun = [group for group in idle if group.nodes]
        for group in begun:
            while len(group.nodes) < group.most and (more := self._room.take(group.needs, 1)):
                group.nodes += more
            group.failure = None
            group.thread = threading.Thread(target=self._run_pass, args=(group,), daemon=True)
            group.thread.start()

    def _run_pass(self, group: _Group) -> None:
        try:
            run_pass(self._executor, self._pass(group))
        except Exception as error:  # noqa: BLE001 - the caller's thread judges it
            group.failure = error

    def _pass(self, group: _Group) -> Pass:
        width = len(group.nodes)
        return Pass(
            client=self._client(group),
            pools=dict(group.pools),
            setup=self._setup(group),
            needs=group.needs,
            least=group.least if self._is_elastic else width,
            width=width,
            most=self._replicas if self._may_grow else width,
            calls_in_flight=self._calls_in_flight(group),
        )

    def _setup(self, group: _Group) -> Setup:
        first = next(iter(group.pools.values()))  # all of a group start alike
        return Setup(
            store=self._store,
            config=first.config,
            resources=self._resources,
            model=first.model,
            adapters=tuple(group.adapters),
            made_for=self._made_for,
        )

    @property
    def _is_elastic(self) -> bool:
        return isinstance(self._resources.replicas, list)

    @property
    def _replicas(self) -> int:
        """How many engines of a group there are to be, whether or not they fit by now."""
        replicas = self._resources.replicas
        return replicas[1] if isinstance(replicas, list) else replicas

    @property
    def _may_grow(self) -> bool:
        """Whether nodes that join are this pass's, as nobody else counts on them."""
        return self._has_all and len(self._groups) == 1

    def _calls_in_flight(self, group: _Group) -> int:
        return self._resources.calls_in_flight if group.is_concurrent else 1

    def _group(self, name: str, key: str, pools: dict[str, Pool]) -> _Group:
        resources = self._resources
        engine = next(iter(pools.values())).config.engine
        needs = engine_needs(resources, engine, self._room)
        fit = self._room.fit(needs, FIELDS)
        most = self._replicas
        least = resources.replicas[0] if isinstance(resources.replicas, list) else most
        is_concurrent = engine_class(engine).is_concurrent
        return _Group(name, key, pools, is_concurrent, needs, min(least, fit), min(most, fit))

    def _terms(self, group: _Group) -> Terms:
        resources, calls = self._resources, self._calls_in_flight(group)
        return Terms(
            replicas=group.most,
            room=(calls + AHEAD) * resources.rows_per_call,
            spare=ROOM,
            least=max(SMALLEST, -(-resources.max_num_seqs // calls)),
            most=resources.rows_per_call,
            ways=2 * calls,
        )

    def _client(self, group: _Group) -> LedgerClient:
        return LedgerClient(self._ledger, group.name)


def _engine_key(pool: Pool) -> str:
    starts_with = set(engine_class(pool.config.engine).starts_with)
    model = pool.model.identity if pool.model else None
    return digest([pool.config.model_dump(include={"engine"} | starts_with), model])
