"""What of a root is never to change."""

from pathlib import Path

import pyarrow.parquet as pq

from engine.store.store import Store, is_leftover


def snapshot(root, stages=("gold", "records", "pools", "views", "runs")):
    """Return every file of some stages that is never to change, and its bytes."""
    found = [path for stage in stages for path in sorted((Path(root) / stage).rglob("*"))]
    return {
        path: path.read_bytes() for path in found if path.is_file() and not is_leftover(path.name)
    }


def outcome(root):
    """Return all generated and judged rows, and all scores: what must not depend on any fault."""
    store = Store.open(str(root))
    tables = {}
    for stage in ("pools", "views"):
        for name, _, _, _ in store.entries(stage):
            if name.endswith(".parquet") and not is_leftover(name):
                tables[name] = store.table(name).table.to_pylist()
    results = pq.read_table(root / "studies" / "toy" / "results.parquet").to_pylist()
    predictions = {
        f"runs/{name}": store.document(f"runs/{name}")["splits"] for name in store.names("runs")
    }
    return tables, [{**row, "train_seconds": None} for row in results], predictions


def final_trials(root):
    """Return the trials of a search of the study ``toy``, without what depends on the machine."""
    table = pq.read_table(root / "studies" / "toy" / "search" / "trials.parquet")
    return [
        {name: value for name, value in row.items() if not name.endswith("_seconds")}
        for row in table.to_pylist()
    ]
