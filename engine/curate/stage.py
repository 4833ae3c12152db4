"""Bring views up to date with their pools: one Ray task for each label of each view."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from engine.curate.filter import Candidate, Context, RowFilter, filter_class
from engine.curate.parse import Unparsed, layout, parse
from engine.curate.text import normalised
from engine.curate.view import Tally, View
from engine.errors import DamagedError
from engine.fingerprint import Plain
from engine.generate.stage import shots_of
from engine.schema import VIEW
from engine.seal import seal_table
from engine.segments import Segment, commit_recipe, unbroken
from engine.store import Store
from engine.tasks.gold import load_rows


class Curated(NamedTuple):
    """What one task found.

    Attributes:
        rows: Rows that it judged now.
        damaged: Files that were damaged and are set aside: their rows are to be made again.
    """

    rows: int
    damaged: list[str]


def curate(views: Sequence[View], store: Store, made: Callable[[Curated], None]) -> None:
    """Judge every row that pools have and views have not.

    Args:
        views: The views to bring up to date.
        store: Where pools are read and views committed.
        made: Told of each label's outcome.
    """
    import ray

    for view in views:
        commit_recipe(store, view.folder, view.recipe())
    task = ray.remote(num_cpus=0.5, max_retries=3)(curate_slot)
    waiting = [task.remote(store, view, slot) for view in views for slot in view.pool.slots]
    while waiting:
        ready, waiting = ray.wait(waiting, num_returns=1)
        for curated in ray.get(ready):
            made(curated)


def curate_slot(store: Store, view: View, slot: str) -> Curated:
    """Judge one label's rows, segment by segment, and commit them as they are judged.

    A view's segment notes the chain of pool segments that it was made from; where that no longer
    agrees, because a damaged pool segment was made again, it is retired and made anew.
    """
    pool_segments = view.pool.segments(store)[slot]
    there = set(view.segments(store)[slot])
    judge: _Judge | None = None
    kept: list[Segment] = []
    rows, chain = 0, ""
    for segment in unbroken(pool_segments):
        source, target = f"{view.pool.folder}/{segment.name}", f"{view.folder}/{segment.name}"
        try:
            chain = _chained(chain, store, source)
            if segment in there and _agrees(store, target, chain):
                kept.append(segment)
                judge = None  # it has not seen these rows; another will be resumed if need be
                continue
            judge = judge or _Judge.resumed(store, view, slot, kept)
            table, tally = judge.judge(store.table(source).table)
        except DamagedError as damage:
            store.set_aside(damage.name)
            return Curated(rows, [damage.name])
        notes: dict[str, Plain] = {
            "chain": chain,
            "rows": tally.rows,
            "accepted": tally.accepted,
            "refused": dict(tally.refused),
        }
        store.commit(target, seal_table(table, notes))
        kept.append(segment)
        rows += tally.rows
    return Curated(rows, [])


def tallies(store: Store, view: View) -> dict[str, Tally]:
    """Count each label's outcomes from the footers, up to the first row without one.

    Raises:
        DamagedError: A footer cannot be read.
    """
    counted = {}
    for slot, segments in view.segments(store).items():
        tally = Tally()
        for segment in unbroken(segments):
            notes, _ = store.notes(f"{view.folder}/{segment.name}")
            tally += Tally(notes["rows"], notes["accepted"], notes["refused"])
        counted[slot] = tally
    return counted


def is_current(store: Store, view: View) -> bool:
    """Say whether a view has judged every row that its pool has, as it is now."""
    there = view.segments(store)
    for slot, segments in view.pool.segments(store).items():
        chain = ""
        for segment in unbroken(segments):
            try:
                chain = _chained(chain, store, f"{view.pool.folder}/{segment.name}")
                judged = f"{view.folder}/{segment.name}"
                if segment not in there[slot] or store.notes(judged)[0]["chain"] != chain:
                    return False
            except DamagedError:
                return False
    return True


def _chained(chain: str, store: Store, name: str) -> str:
    """Return the hash of the pool segments up to this one: what its judged rows depend on."""
    return hashlib.sha256((chain + store.notes(name)[1]).encode()).hexdigest()


def _agrees(store: Store, target: str, chain: str) -> bool:
    try:
        agrees = bool(store.notes(target)[0]["chain"] == chain)
    except DamagedError:
        store.set_aside(target)
        return False
    if not agrees:
        store.retire(target)
    return agrees


class _Judge:
    """One label's parser and filters, in the state that the rows so far have left them."""

    def __init__(self, store: Store, view: View) -> None:
        task = view.pool.task
        kinds = [filter_class(name) for name in view.config.filters]
        compared = {split for kind in kinds for split in kind.compares}
        gold = {split: _gold_texts(store, view.files[split]) for split in compared}
        context = Context(task, view.config, gold)
        self._filters: list[RowFilter] = [kind(context) for kind in kinds]
        self._layout = layout(task)

    @classmethod
    def resumed(cls, store: Store, view: View, slot: str, kept: Sequence[Segment]) -> "_Judge":
        """Return a judge that remembers the rows of the segments that are kept."""
        judge = cls(store, view)
        remembering = [one for one in judge._filters if one.remembers]
        for segment in kept if remembering else ():
            for row in store.table(f"{view.folder}/{segment.name}").table.to_pylist():
                if row["text"] is not None:
                    for one in remembering:
                        one(_candidate(row, row["text"], row["text_pair"]))
        return judge

    def judge(self, pool_rows: pa.Table) -> tuple[pa.Table, Tally]:
        """Return the view's rows for a pool's rows, which follow those judged so far."""
        judged = list(self._judged(pool_rows))
        refused = Counter(row["reason"] for row in judged if row["reason"])
        tally = Tally(len(judged), len(judged) - refused.total(), dict(refused))
        return pa.Table.from_pylist(judged, schema=VIEW), tally

    def _judged(self, pool_rows: pa.Table) -> Iterator[dict[str, Any]]:
        for row in pool_rows.to_pylist():
            text, text_pair, reason = self._outcome(row)
            status = "refused" if reason else "accepted"
            outcome = {"text": text, "text_pair": text_pair, "status": status, "reason": reason}
            yield {**row, "label": row["slot"], **outcome}

    def _outcome(self, row: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
        if row["error"] is not None:
            return None, None, "error"
        parsed = parse(row["completion"], self._layout)
        if isinstance(parsed, Unparsed):
            return None, None, parsed.reason
        candidate = _candidate(row, parsed.text, parsed.text_pair)
        reasons = [one(candidate) for one in self._filters]  # all: some remember what they saw
        return parsed.text, parsed.text_pair, next((why for why in reasons if why), None)


def _candidate(row: dict[str, Any], text: str, text_pair: str | None) -> Candidate:
    comparable = normalised(text, text_pair)
    shots = tuple(shots_of(row["attributes"]))
    return Candidate(row["slot"], text, text_pair, comparable, row["completion"], shots)


def _gold_texts(store: Store, name: str) -> dict[str, str]:
    table = load_rows(store, name)
    columns = [table[column].to_pylist() for column in ("id", "text", "text_pair")]
    return {row: normalised(text, pair) for row, text, pair in zip(*columns, strict=True)}
