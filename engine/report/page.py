"""Pages from templates, and tables as files."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def render(
    template: str,
    filters: Mapping[str, Callable[..., Any]],
    **values: Any,  # noqa: ANN401 - what templates show
) -> str:
    """Fill in a template; in HTML what is filled in is escaped.

    Args:
        template: Its name.
        filters: What its expressions can call, by name.
        values: What they can name.
    """
    from jinja2 import (
        Environment,
        PackageLoader,
        StrictUndefined,
        select_autoescape,
    )

    environment = Environment(
        loader=PackageLoader("engine.report", "templates"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(**values)


def as_parquet(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
