"""Gold rows: the real labelled rows of a task, read once, checked, and kept in the store."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pyarrow as pa

from engine.errors import DataError
from engine.fingerprint import SHORT, content_hash
from engine.store.schema import GOLD, Draws
from engine.store.seal import seal_table
from engine.store.store import Store
from engine.tasks.source import CutSource, FileSource, HubSource, Row, read_rows
from engine.tasks.task import SPLITS, Split, Task


@dataclass(frozen=True)
class Rows:
    """A set of labelled rows with the hash of its content.

    Attributes:
        table: The rows, with the columns of GOLD.
        content: SHA-256 of labels and texts in order, 64 hex digits.
        name: The file in the store that holds or will hold them.
    """

    table: pa.Table
    content: str
    name: str

    def publish(self, store: Store) -> None:
        """Put the rows into the store, for workers that cannot see where they came from."""
        if not store.has(self.name):
            store.commit(self.name, seal_table(self.table, {"content": self.content}))

    def count(self, label: str) -> int:
        """Return how many rows have ``label``."""
        return self._counts[label]

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(self.table["label"].to_pylist())


def load_gold(task: Task) -> dict[Split, Rows]:
    """Read all three splits of a task.

    Raises:
        DataError: A split is absent, cannot be read, or has a row that is wrong.
    """
    absent = [split for split in SPLITS if split not in task.splits]
    if absent:
        raise DataError(
            f"The task {task.name!r} has no {absent[0]} split. Say where it is: in the task file "
            f'or the study, under [splits], {absent[0]} = "file.jsonl".'
        )
    rows: dict[Split, list[Row]] = {}
    for split in SPLITS:
        source = task.splits[split]
        if isinstance(source, FileSource | HubSource):
            rows[split] = read_rows(source, task.columns, list(task.labels))
    for split in SPLITS:
        source = task.splits[split]
        if isinstance(source, CutSource):
            if "train" not in rows:
                raise DataError(f"The {split} split is cut off the train split, which has no rows.")
            rows["train"], rows[split] = _cut(rows["train"], source.cut, split)
    return {split: as_rows(rows[split], f"gold/{task.name}-{split}") for split in SPLITS}


def load_records(source: FileSource | HubSource, task: Task) -> Rows:
    """Read existing synthetic rows, to be replayed.

    Raises:
        DataError: They cannot be read, or a row is wrong.
    """
    return as_rows(read_rows(source, task.columns, list(task.labels)), f"records/{task.name}")


def load_rows(store: Store, name: str) -> pa.Table:
    """Read gold rows or records from the store, once per process: the name holds the content."""
    return _load(store.root, name)


@lru_cache(maxsize=8)
def _load(root: str, name: str) -> pa.Table:
    return Store.open(root).table(name).table


def as_rows(rows: list[Row], stem: str) -> Rows:
    """Return rows as a table with its content's hash; ``stem`` begins the file's name."""
    content = content_hash([(row["label"], row["text"], row.get("text_pair")) for row in rows])
    columns = {"id": _ids(rows)}
    columns |= {name: [row.get(name) for row in rows] for name in GOLD.names if name != "id"}
    table = pa.table([_texts(columns[name]) for name in GOLD.names], schema=GOLD)
    return Rows(table, content, f"{stem}-{content[:SHORT]}.parquet")


def _texts(values: Sequence[str | None]) -> pa.Array:
    """Return a column; ``pa.array`` would first load pandas, to see whether it gets some of it."""
    column = pa.lib.StringBuilder()
    column.append_values(values)
    return column.finish()


def _ids(rows: list[Row]) -> list[str]:
    """Name each row by its content, so that other rows of the file can come and go."""
    seen: Counter[str] = Counter()
    ids = []
    for row in rows:
        content = content_hash([(row["label"], row["text"], row.get("text_pair"))])[:SHORT]
        ids.append(f"{content}-{seen[content]}" if seen[content] else content)
        seen[content] += 1
    return ids


def _cut(rows: list[Row], count: int, split: str) -> tuple[list[Row], list[Row]]:
    """Take ``count`` rows off, spread over the labels as they are spread in ``rows``."""
    if count >= len(rows):
        raise DataError(f"{count} rows are to be cut off the train split, which has {len(rows)}.")
    keys = [
        Draws("cut", split, str(row["label"]), str(row["text"]), str(row.get("text_pair"))).seed()
        for row in rows
    ]
    by_label = sorted(range(len(rows)), key=lambda place: (rows[place]["label"], keys[place]))
    chosen = {by_label[number * len(rows) // count] for number in range(count)}
    rest = [row for place, row in enumerate(rows) if place not in chosen]
    return rest, [rows[place] for place in sorted(chosen)]
