"""Make the missing segments of pools: Ray Data shards them in calls over engine actors."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from engine.errors import InputError
from engine.fingerprint import canonical, digest
from engine.generate.engine import Completion, Prompt, Setup, TextEngine, engine_class
from engine.generate.pool import Pool, by_fingerprint
from engine.schema import POOL, RowId
from engine.seal import seal_table
from engine.segments import Segment, commit_recipe
from engine.session import how_many_fit
from engine.store import Store
from engine.study.config import Resources

ASKING_CPUS = 0.25  # of a task that words prompts
ASKED = pa.schema(
    [
        ("pool", pa.string()),
        ("slot", pa.string()),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("index", pa.int64()),
        ("prompt", pa.string()),
        ("attributes", pa.string()),
    ]
)


class Want(NamedTuple):
    """A segment of a pool that is not there yet."""

    pool: Pool
    segment: Segment

    @property
    def rows(self) -> int:
        """How many rows it will hold."""
        return self.segment.stop - self.segment.start


class Made(NamedTuple):
    """A segment that was committed."""

    pool: str
    rows: int
    errors: int
    tokens: int


def generate(
    wants: Sequence[Want], store: Store, where: Resources, made: Callable[[Made], None]
) -> None:
    """Make segments of pools and commit them.

    Pools whose engines start alike are made together, by the same actors. A segment that somebody
    else commits meanwhile is left as theirs.

    Args:
        wants: The segments, the most urgent first.
        store: Where they are committed.
        where: Actors and rows per call.
        made: Told of each segment that is there now.
    """
    for pool in by_fingerprint(want.pool for want in wants).values():
        commit_recipe(store, pool.folder, pool.recipe())
    groups: dict[str, list[Want]] = {}
    for want in wants:
        groups.setdefault(_engine_key(want.pool), []).append(want)
    for group in groups.values():
        _generate_group(group, store, where, made)


def _engine_key(pool: Pool) -> str:
    starts_with = set(engine_class(pool.config.engine).starts_with)
    model = pool.model.identity if pool.model else None
    return digest([pool.config.model_dump(include={"engine"} | starts_with), model])


def _generate_group(
    wants: Sequence[Want], store: Store, where: Resources, made: Callable[[Made], None]
) -> None:
    import ray.data
    from ray.exceptions import RayTaskError

    gpus = _gpus(wants[0].pool, where)
    needs = {"CPU": where.engine_cpus, "GPU": gpus}
    fit = how_many_fit(needs, "resources.engine_cpus and engine_gpus", spared_cpus=ASKING_CPUS)
    pools = by_fingerprint(want.pool for want in wants)
    setup = Setup(store, wants[0].pool.config, where, wants[0].pool.model)
    calls = [_call_table(call) for call in _calls(wants, where.rows_per_call)]
    asked = ray.data.from_arrow(calls).map_batches(  # one block is one call
        ask,  # type: ignore[arg-type]  # Ray's type knows no further arguments
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=ASKING_CPUS,
        fn_args=(pools, store),
    )
    reports = asked.map_batches(
        EngineActor,
        fn_constructor_args=(pools, setup),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=where.engine_cpus,
        num_gpus=gpus,
        compute=ray.data.ActorPoolStrategy(size=min(where.replicas, fit, len(calls))),
    )
    try:
        for row in reports.iter_rows():
            made(Made(**row))
    except RayTaskError as error:
        if refusal := _refusal(error):
            raise refusal from error
        raise


def _refusal(error: BaseException | None) -> InputError | None:
    """Return what the user gave wrong, if that is why a task of Ray's failed."""
    while error is not None and not isinstance(error, InputError):
        error = getattr(error, "cause", None) or error.__cause__
    return error


def _gpus(pool: Pool, where: Resources) -> float:
    """Return the GPUs of one engine actor."""
    import ray

    if not engine_class(pool.config.engine).uses_gpu:
        return 0
    if where.engine_gpus is not None:
        return where.engine_gpus
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return float(have.get("GPU", 0) > 0)


def _calls(wants: Sequence[Want], rows_per_call: int) -> Iterator[list[Want]]:
    call: list[Want] = []
    for want in wants:
        if call and sum(other.rows for other in call) + want.rows > rows_per_call:
            yield call
            call = []
        call.append(want)
    if call:
        yield call


def _call_table(call: Sequence[Want]) -> pa.Table:
    rows = [{"pool": want.pool.fingerprint, **want.segment._asdict()} for want in call]
    return pa.Table.from_pylist(rows)


def ask(calls: pa.Table, pools: dict[str, Pool], store: Store) -> pa.Table:
    """Word the prompts of whole segments; one row for each row to be made.

    A segment that has come to be there, by a retry or another command, is asked for no more.
    """
    strategies: dict[str, Any] = {}
    rows = []
    for call in calls.to_pylist():
        pool = pools[call["pool"]]
        segment = Segment(call["slot"], call["start"], call["stop"])
        if store.has(f"{pool.folder}/{segment.name}"):
            continue
        asks = engine_class(pool.config.engine).asks
        if asks and pool.fingerprint not in strategies:
            strategies[pool.fingerprint] = pool.strategy(store)
        for index in range(call["start"], call["stop"]):
            row = {**call, "index": index, "prompt": "", "attributes": "{}"}
            if asks:
                asked = strategies[pool.fingerprint].ask(pool.row(call["slot"], index))
                row["prompt"] = asked.text
                row["attributes"] = canonical(asked.attributes).decode()
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=ASKED)


class EngineActor:
    """One engine per actor: built once, then fed calls; commits each segment as it fills."""

    def __init__(self, pools: dict[str, Pool], setup: Setup) -> None:
        self._pools = pools
        self._store = setup.store
        self._engine: TextEngine | InputError
        try:
            self._engine = engine_class(setup.config.engine)(setup)
        except InputError as error:  # said by the first call: a dead actor's words are lost
            self._engine = error

    def __call__(self, call: pa.Table) -> Iterator[pa.Table]:
        """Answer one call's prompts; yield a row for each segment that is there now."""
        if isinstance(self._engine, InputError):
            raise self._engine
        filling = _Filling(self._store, self._pools, call.to_pylist())
        for completion in self._engine.complete(filling.prompts()):
            report = filling.add(completion)
            if report:
                yield pa.Table.from_pylist([report._asdict()])
        filling.check_complete()


class _Filling:
    """The segments of one call, as their rows are answered in whatever order."""

    def __init__(self, store: Store, pools: dict[str, Pool], rows: list[dict[str, Any]]) -> None:
        self._store, self._pools = store, pools
        self._open = {RowId(row["pool"], row["slot"], row["index"]): row for row in rows}
        self._done: dict[tuple[str, Segment], dict[int, dict[str, Any]]] = {}
        self._started = time.monotonic()

    def prompts(self) -> Iterator[Prompt]:
        """Yield the prompts."""
        for identity, row in list(self._open.items()):
            yield Prompt(identity, row["prompt"], self._pools[row["pool"]])

    def add(self, completion: Completion) -> Made | None:
        """Take an answer; commit its segment if that was the last one it lacked."""
        asked = self._open.pop(completion.row, None)
        if asked is None:
            raise RuntimeError(f"the engine answered row {completion.row} twice, or unasked")
        segment = Segment(asked["slot"], asked["start"], asked["stop"])
        rows = self._done.setdefault((asked["pool"], segment), {})
        rows[asked["index"]] = _pool_row(asked, completion)
        if len(rows) < segment.stop - segment.start:
            return None
        return self._commit(self._pools[asked["pool"]], segment)

    def check_complete(self) -> None:
        """Make sure that every prompt was answered."""
        if self._open:
            raise RuntimeError(f"the engine left {len(self._open)} prompts unanswered")
        if self._done:
            raise RuntimeError(f"a call held a part of the segments {list(self._done)}")

    def _commit(self, pool: Pool, segment: Segment) -> Made:
        rows = [row for _, row in sorted(self._done.pop((pool.fingerprint, segment)).items())]
        table = pa.Table.from_pylist(rows, schema=POOL)
        errors = sum(row["error"] is not None for row in rows)
        tokens = sum(row["completion_tokens"] or 0 for row in rows)
        now = time.monotonic()  # since the segment before it, so that seconds add up
        seconds, self._started = round(now - self._started, 3), now
        notes = {"rows": len(rows), "errors": errors, "tokens": tokens, "seconds": seconds}
        self._store.commit(f"{pool.folder}/{segment.name}", seal_table(table, notes))
        return Made(pool.fingerprint, len(rows), errors, tokens)


def _pool_row(asked: dict[str, Any], completion: Completion) -> dict[str, Any]:
    return {
        "id": str(completion.row),
        "slot": completion.row.slot,
        "index": completion.row.index,
        "prompt": asked["prompt"],
        # a lone surrogate, which a byte-level tokenizer can leave behind, has no place in Parquet
        "completion": completion.text.encode("utf-8", "replace").decode(),
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "finish_reason": completion.finish_reason,
        "mean_logprob": completion.mean_logprob,
        "attributes": asked["attributes"],
        "error": completion.error,
    }


def shots_of(attributes: str) -> list[str]:
    """Return the ids of the real rows that a pool row's prompt showed."""
    drawn: dict[str, Any] = json.loads(attributes)
    return list(drawn.get("shots", []))
