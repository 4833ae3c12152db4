"""Bring views up to date with their pools: one task for each label of each view."""

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import pyarrow as pa

from engine.curate.filter import Candidate, Context, RowFilter, filter_class
from engine.curate.parse import Parsed, Unparsed, layout, parse
from engine.curate.text import normalised
from engine.errors import DamagedError
from engine.fingerprint import Plain
from engine.nodes.executor import Executor, Needs
from engine.steps.pool import given_in, shots_of
from engine.steps.view import Tally, View, chained, tally_of
from engine.store.schema import NONE, VIEW, storable
from engine.store.seal import seal_table
from engine.store.segments import Segment, unbroken
from engine.store.store import Store
from engine.tasks.gold import load_rows

Given = ParamSpec("Given")
Found = TypeVar("Found")


class Curated(NamedTuple):
    """What one task found.

    Attributes:
        view: The view.
        slot: The label.
        rows: Rows that it judged now.
        tally: What all rows that are judged came to.
        damaged: Files that were damaged and are set aside: their rows are to be made again.
    """

    view: View
    slot: str
    rows: int
    tally: Tally
    damaged: list[str]


class Judging:
    """Judges rows in tasks, one for each label of a view at a time.

    Args:
        executor: What they run on.
        store: Where pools are read and views committed.
        cpus: What a task reserves.
    """

    def __init__(self, executor: Executor, store: Store, cpus: float) -> None:
        self._store = store
        self._tasks = executor.tasks(curate_slot, Needs(cpus))

    def begin(self, view: View, slot: str) -> None:
        """Judge every row of a label that the pool has and the view has not."""
        self._store.commit_recipe(view.folder, view.recipe())
        self._tasks.begin(self._store, view, slot)

    def finished(self, seconds: float) -> list[Curated]:
        """Return what was judged since the last time; wait so long for the first, if any is on.

        Raises:
            UnwritableError: The root takes no more.
            FormatError: A file was written by another version of textmill.
        """
        curated: list[Curated] = []
        for done in self._tasks.finished(seconds):
            if done.error:
                raise done.error
            curated.append(done.value)
        return curated


def curate_slot(store: Store, view: View, slot: str) -> Curated:
    """Judge one label's rows, segment by segment, and commit them as they are judged.

    A view's segment notes the chain of pool segments that it was made from; where that no longer
    agrees, because a damaged pool segment was made again, it is retired and made anew.
    """
    pool_segments = view.pool.segments(store)[slot]
    committed = set(view.segments(store)[slot])
    judge: _Judge | None = None
    kept: list[Segment] = []
    rows, chain = 0, ""
    for segment in unbroken(pool_segments):
        source, target = f"{view.pool.folder}/{segment.name}", f"{view.folder}/{segment.name}"
        try:
            chain = chained(chain, store, source)
            if segment in committed and _agrees(store, target, chain):
                kept.append(segment)
                judge = None  # it has not seen these rows; another will be resumed if need be
                continue
            judge = judge or _Judge.resumed(store, view, slot, kept)
            table, tally = judge.judge(store.table(source).table)
        except DamagedError as damage:
            store.set_aside(damage.name)
            return Curated(view, slot, rows, tally_of(store, view, slot), [damage.name])
        notes: dict[str, Plain] = {
            "chain": chain,
            "rows": tally.rows,
            "labels": dict(tally.labels),
            "refused": dict(tally.refused),
        }
        store.commit(target, seal_table(table, notes))
        kept.append(segment)
        rows += tally.rows
    return Curated(view, slot, rows, tally_of(store, view, slot), [])


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
        only = next(iter(view.pool.asked.fields)) if view.pool.call == "first" else None
        gold = {split: _gold_texts(store, view.files[split], only) for split in compared}
        context = Context(task, view.config, gold)
        built = [kind(context) for kind in kinds]
        self._filters: list[tuple[str, RowFilter]] = list(
            zip(view.config.filters, built, strict=True)
        )
        self._layout = layout(view.pool.asked)
        self._has_parent = view.pool.parent is not None

    @classmethod
    def resumed(cls, store: Store, view: View, slot: str, kept: Sequence[Segment]) -> "_Judge":
        """Return a judge that remembers the rows of the segments that are kept."""
        judge = cls(store, view)
        remembering = [
            (name, row_filter) for name, row_filter in judge._filters if row_filter.remembers
        ]
        for segment in kept if remembering else ():
            for row in store.table(f"{view.folder}/{segment.name}").table.to_pylist():
                if row["text"] is not None or row["text_pair"] is not None:
                    whole = Parsed(row["text"], row["text_pair"], row["label"])
                    for name, row_filter in remembering:
                        _verdict(name, row_filter, _candidate(row, whole))
        return judge

    def judge(self, pool_rows: pa.Table) -> tuple[pa.Table, Tally]:
        """Return the view's rows for a pool's rows, which follow those judged so far."""
        judged = list(self._judged(pool_rows))
        refused = Counter(row["reason"] for row in judged if row["reason"])
        labels = Counter(row["label"] or NONE for row in judged if not row["reason"])
        tally = Tally(len(judged), dict(labels), dict(refused))
        return pa.Table.from_pylist(judged, schema=VIEW), tally

    def _judged(self, pool_rows: pa.Table) -> Iterator[dict[str, Any]]:
        for row in pool_rows.to_pylist():
            whole, reason = self._outcome(row)
            status = "refused" if reason else "accepted"
            yield {**row, **whole._asdict(), "status": status, "reason": reason}

    def _outcome(self, row: dict[str, Any]) -> tuple[Parsed, str | None]:
        """Return a row's fields, also those that were there before, and why it is refused."""
        asked = None if row["slot"] == NONE else row["slot"]
        parsed: Parsed | Unparsed = Unparsed("error")
        if row["error"] is None:
            parsed = _tried("the parser", parse, row["completion"], self._layout)
        if isinstance(parsed, Unparsed):
            return Parsed(None, label=asked), parsed.reason
        inherited = given_in(row["attributes"]) if self._has_parent else {}
        whole = parsed._replace(label=parsed.label or asked, **inherited)
        candidate = _candidate(row, whole)
        # all: some remember what they saw
        reasons = [_verdict(name, row_filter, candidate) for name, row_filter in self._filters]
        return whole, next((why for why in reasons if why), None)


def _verdict(name: str, row_filter: RowFilter, candidate: Candidate) -> str | None:
    """Return why a filter refuses a row: also that it failed at it, for no row ends a study."""
    reason = _tried(f"the row filter {name}", row_filter, candidate)
    if isinstance(reason, Unparsed):
        return reason.reason
    if not reason:
        return None
    if isinstance(reason, str):
        return storable(reason)
    return f"the row filter {name} answered {type(reason).__name__}"


def _tried(
    name: str, judge: Callable[Given, Found], *args: Given.args, **more: Given.kwargs
) -> Found | Unparsed:
    """Return what the parser or a filter says of a row, or that it raised; the log has the rest."""
    try:
        return judge(*args, **more)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this row's reason
        trace = storable(traceback.format_exc())  # else the log itself may raise
        logging.getLogger("engine.rows").warning("%s failed\n%s", name, trace)
        return Unparsed(f"{name} raised {type(error).__name__}")


def _candidate(row: dict[str, Any], whole: Parsed) -> Candidate:
    text, text_pair = whole.text, whole.text_pair
    if text is None:  # of a pair's first call: the other text is all that there is
        text, text_pair = text_pair or "", None
    comparable = normalised(text, text_pair)
    shots = tuple(shots_of(row["attributes"]))
    return Candidate(whole.label or NONE, text, text_pair, comparable, row["completion"], shots)


def _gold_texts(store: Store, name: str, only: str | None) -> dict[str, str]:
    """Return real rows' texts, made comparable; of one field, where rows have no other yet."""
    rows = load_rows(store, name).to_pylist()
    if only:
        return {row["id"]: normalised(row[only]) for row in rows}
    return {row["id"]: normalised(row["text"], row["text_pair"]) for row in rows}
