"""Where labelled rows come from: a local file, a hub dataset, or a part cut off the train split."""

import csv
import gzip
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from engine.errors import DataError
from engine.plugins import did_you_mean
from engine.tasks.plain_files import plain_rows
from engine.tasks.toml_files import FilePath, Written

READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
OPTIONS = {".csv": {"keep_default_na": False}}  # "NA", "null" and the like are texts
Column = Literal["text", "text_pair", "label"]


class _Mapped(Written):
    """How the columns and labels of the data are called.

    Attributes:
        columns: Our column to theirs, such as ``{text = "sentence"}``; the same name if absent.
        labels: Their label to ours, such as ``{"1" = "positive"}``; the same name if absent.
    """

    columns: dict[Column, str] = {}
    labels: dict[str, str] = {}


class FileSource(_Mapped):
    """A local file: JSONL, CSV or Parquet, also with ``.gz`` behind the first two.

    Attributes:
        path: Its path. Where nothing else is to be said of the file, the path stands for the table.
    """

    path: FilePath

    def __str__(self) -> str:
        return self.path


class HubSource(_Mapped):
    """One split of a dataset on the Hugging Face hub.

    Attributes:
        hub: The dataset's name there.
        split: Which of its splits.
        subset: Which of its configurations, if it has several.
        revision: Branch, tag or commit.
    """

    hub: Annotated[str, Field(min_length=1)]
    split: str
    subset: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.hub}{f' {self.subset}' if self.subset else ''} [{self.split}]"


class CutSource(Written):
    """Rows taken off the train split, balanced over its labels as it is itself.

    Attributes:
        cut: How many rows.
    """

    cut: int = Field(ge=1)

    def __str__(self) -> str:
        return f"{self.cut} rows cut off the train split"


def _as_table(value: Any) -> Any:  # noqa: ANN401 - whatever stood in the file
    return {"path": value} if isinstance(value, str) else value


def _kind(value: Any) -> str:  # noqa: ANN401 - as above
    keys = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((f"as-{key}" for key in ("hub", "cut") if key in keys), "as-path")


Source = Annotated[
    Annotated[FileSource, Tag("as-path")]
    | Annotated[HubSource, Tag("as-hub")]
    | Annotated[CutSource, Tag("as-cut")],
    Discriminator(_kind),
    BeforeValidator(_as_table),
]
RecordSource = Annotated[
    Annotated[FileSource, Tag("as-path")] | Annotated[HubSource, Tag("as-hub")],
    Discriminator(_kind),
    BeforeValidator(_as_table),
]


class Row(dict[str, str | None]):
    """One labelled row: ``label``, ``text`` and, for pairs, ``text_pair``."""


def read_rows(
    source: FileSource | HubSource, columns: list[Column], labels: list[str]
) -> list[Row]:
    """Read every row, as ``datasets`` reads it; map its columns and labels, and check it.

    Args:
        source: Where the rows are.
        columns: The columns wanted; each must be there and filled in every row.
        labels: The task's labels; each row must have one of them.

    Raises:
        DataError: The data cannot be read, or a row is wrong; the message names row and file.
    """
    rows = []
    for number, raw in enumerate(_raw_rows(source), start=1):
        place = f"{source}, row {number}"
        row = Row({column: _value(raw, source, column, place) for column in columns})
        raw_label = str(row["label"])
        row["label"] = source.labels.get(raw_label, raw_label)
        label = str(row["label"])
        if label not in labels:
            mapped = (
                f", which the labels' map makes of {raw_label!r}," if label != raw_label else ""
            )
            hint = did_you_mean(label, labels)
            raise DataError(f"{place}: the label {label!r}{mapped} is unknown.{hint}")
        rows.append(row)
    if not rows:
        raise DataError(f"{source} holds no rows.")
    return rows


def _value(raw: dict[str, Any], source: _Mapped, column: Column, place: str) -> str:
    name = source.columns.get(column, column)
    if name not in raw:
        raise DataError(f"{place}: there is no field {name!r}.{did_you_mean(name, raw)}")
    value = raw[name]
    if value is None or not str(value).strip():
        raise DataError(f"{place}: the field {name!r} is empty or missing.")
    return str(value)


def _raw_rows(source: FileSource | HubSource) -> Iterator[dict[str, Any]]:
    if isinstance(source, FileSource) and (rows := _plain_rows(source)) is not None:
        yield from rows
        return
    import datasets  # here, for it takes over a second to load, and plain files need none of it

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # the error below says it all
    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # else reading a local file calls home
    try:
        if isinstance(source, FileSource):
            yield from _file(source)
        else:
            yield from _hub(source)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zlib.error, datasets.exceptions.DatasetsError) as error:
        cause = error.__cause__ or error
        raise DataError(f"{source} cannot be read: {cause}") from error


def _plain_rows(source: FileSource) -> list[dict[str, Any]] | None:
    """Return the rows of a file that can be read without ``datasets``, or None."""
    path, suffix = _checked(source)
    try:
        if suffix == ".csv":
            _check_fields(path)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        return None
    return plain_rows(path, suffix)


def _checked(source: FileSource) -> tuple[Path, str]:
    """Return a file's path and what it is, if there is such a file and it is of a known kind."""
    path = Path(source.path)
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    suffix = Path(path.stem if path.suffix == ".gz" else path.name).suffix
    if suffix not in READERS:
        raise DataError(f"{path}: cannot tell its format; known: {', '.join(sorted(READERS))}.")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty.")
    return path, suffix


def _file(source: FileSource) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    path, suffix = _checked(source)
    if suffix == ".csv":
        _check_fields(path)
    options = {"data_files": str(path), "split": "train", **OPTIONS.get(suffix, {})}
    # a cache for this once: none can grow stale, and streaming instead would import torch
    with tempfile.TemporaryDirectory() as cache:
        yield from load_dataset(READERS[suffix], cache_dir=cache, **options)


def _check_fields(path: Path) -> None:
    """Refuse a CSV row of more or fewer fields than the header: readers shift or drop them."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        for number, row in enumerate(rows, start=1):
            if row and len(row) != len(header):
                raise DataError(
                    f"{path}, row {number}: it has {len(row)} fields, the header has "
                    f"{len(header)}; put a text with commas between double quotes."
                )


def _hub(source: HubSource) -> Iterator[dict[str, Any]]:
    from datasets import ClassLabel, load_dataset

    try:
        data = load_dataset(source.hub, source.subset, split=source.split, revision=source.revision)
    except ConnectionError as error:
        raise DataError(
            f"The dataset {source.hub!r} is neither in the local cache nor reachable. Give local "
            'files in the study: [splits] train = "train.jsonl", validation = ..., test = ...'
        ) from error
    names = {
        column: feature
        for column, feature in data.features.items()
        if isinstance(feature, ClassLabel)
    }
    for raw in data:  # a hub's -1 means that the label is hidden
        named = {
            column: feature.int2str(raw[column]) if raw[column] >= 0 else None
            for column, feature in names.items()
        }
        yield {**raw, **named}
