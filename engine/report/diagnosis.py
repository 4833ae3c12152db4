"""How alike the rows of each view are, and how many are trivial: the table of a report."""

from collections.abc import Mapping

import pyarrow as pa

from engine.report.findings import Diagnosis, Findings

COLUMNS: Mapping[str, pa.DataType] = {
    "name": pa.string(),
    "task": pa.string(),
    "method": pa.string(),  # null for real rows
    "is_rephrased": pa.bool_(),
    "replicate": pa.int64(),
    "rows": pa.int64(),
    "inter": pa.float64(),  # null for fewer than two rows
    "to_real": pa.float64(),  # null for real rows, and without any
    "trivial": pa.int64(),  # null where the task lists no words
    "trivial_per_1000": pa.float64(),  # likewise
}


def diagnostics_table(findings: Findings) -> pa.Table:
    """Return one row per view, and per replicate's real rows, with the columns of COLUMNS."""
    rows = [
        {**one._asdict(), "trivial_per_1000": per_thousand(one)} for one in findings.diagnostics
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(COLUMNS.items()))


def per_thousand(one: Diagnosis) -> float | None:
    """Return how many of 1,000 rows are trivial; None where that is not known."""
    return None if one.trivial is None or not one.rows else 1000 * one.trivial / one.rows
