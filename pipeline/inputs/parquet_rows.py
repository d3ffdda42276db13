"""Read the rows of a Parquet file, in order, a slice at a time. A broken file can break the process that reads it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import polars as pl
from polars.exceptions import PanicException, PolarsError

from pipeline.errors import BadRequestError
from pipeline.inputs.limits import LINE_LIMIT, MOST_COLUMNS, PIECE_CELLS
from pipeline.store.cut_tasks import row_sizes
from pipeline.units import MIB

MOST_LEVELS = 32
MOST_DIGITS = 38
SLICE_ROWS = 16 * 1024
SLICE_BYTES = 16 * MIB
_UNKNOWN_TYPE = re.compile(r"could not import from `(\w{1,80})` type")


@dataclass(frozen=True)
class ParquetRows:
    """A Parquet file: its rows, their number, and the types in which a snapshot stores its columns.

    Categories and columns of nulls are stored as text, maps as lists of pairs, extensions as their storage type.
    """

    rows: pl.LazyFrame
    schema: dict[str, pl.DataType]
    count: int

    @classmethod
    def open(cls, path: Path, max_rows: int) -> Self:
        """Read the footer; raises BadRequestError for a broken file, and for too many rows or columns."""
        try:
            rows = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            schema = dict(rows.collect_schema())
            count = int(rows.select(pl.len()).collect().item())
        except (PolarsError, OSError, PanicException) as error:
            raise _unreadable(error) from error
        if count > max_rows:
            raise BadRequestError(f"the input has more than {max_rows} rows (setting max_rows)")
        if not schema:
            raise BadRequestError("the input has no columns")
        if len(schema) > MOST_COLUMNS:
            raise BadRequestError(f"the input has too many columns: expected at most {MOST_COLUMNS}")
        return cls(rows, {name: stored_type(name, dtype) for name, dtype in schema.items()}, count)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in order; the size of one slice sets the rows of the next, so that memory is bounded."""
        start, max_height = 0, max(1, PIECE_CELLS // max(1, len(self.schema)))
        height = min(max_height, 256)
        while start < self.count:
            try:
                frame = self.rows.slice(start, height).collect(engine="streaming")
                frame = self._cast(frame)
            except (PolarsError, OSError, PanicException) as error:
                raise _unreadable(error) from error
            if frame.height != min(height, self.count - start):
                raise BadRequestError(f"the input cannot be read as Parquet: it ends behind row {start + frame.height}")
            sizes = row_sizes(frame)
            large = (sizes > LINE_LIMIT).arg_true()
            if large.len():
                raise BadRequestError(f"row {start + large[0] + 1} is over {LINE_LIMIT // MIB} MiB")
            yield frame
            start += frame.height
            fitting_rows = SLICE_BYTES * frame.height // max(1, int(sizes.sum()))
            height = max(1, min(max_height, SLICE_ROWS, 2 * height, fitting_rows))

    def _cast(self, frame: pl.DataFrame) -> pl.DataFrame:
        columns = zip(self.schema.items(), map(_storage, frame.iter_columns()), strict=True)
        return pl.DataFrame(
            {name: cells if cells.dtype == dtype else cells.cast(dtype) for (name, dtype), cells in columns}
        )


def stored_type(name: str, dtype: pl.DataType, depth: int = 0) -> pl.DataType:
    """Return the type in which a snapshot stores a column; raises BadRequestError for a type that it cannot store."""
    if depth > MOST_LEVELS:
        raise BadRequestError(f"the column {name[:80]!r} is nested too deep: expected at most {MOST_LEVELS} levels")

    def inside(inner: object) -> pl.DataType:
        return stored_type(name, _instance(inner), depth + 1)

    stored = dtype
    match dtype:
        case pl.List():
            stored = pl.List(inside(dtype.inner))
        case pl.Array():
            stored = pl.Array(inside(dtype.inner), dtype.size)
        case pl.Struct():
            stored = pl.Struct({field.name: inside(field.dtype) for field in dtype.fields})
        case pl.Map():
            stored = pl.List(pl.Struct({"key": inside(dtype.key), "value": inside(dtype.value)}))
        case pl.BaseExtension() if not depth:
            stored = inside(dtype.ext_storage())
        case pl.Categorical() | pl.Enum() | pl.Null():
            stored = pl.String()
        case _:
            _check_leaf(name, dtype)
    return stored


def _check_leaf(name: str, dtype: pl.DataType) -> None:
    if isinstance(dtype, pl.Object | pl.Unknown | pl.BaseExtension):
        raise BadRequestError(f"the column {name[:80]!r} is of a type that cannot be read: {dtype}")
    if isinstance(dtype, pl.Decimal) and (dtype.precision or 0) > MOST_DIGITS:
        raise BadRequestError(
            f"the column {name[:80]!r} has decimals of {dtype.precision} digits, expected at most {MOST_DIGITS}: cast "
            "it to text"
        )


def _storage(cells: pl.Series) -> pl.Series:
    return cells.ext.storage() if isinstance(cells.dtype, pl.BaseExtension) else cells


def _instance(dtype: object) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else cast("type[pl.DataType]", dtype)()


def _unreadable(error: BaseException) -> BadRequestError:
    if unknown := _UNKNOWN_TYPE.search(str(error)):
        return BadRequestError(
            f"the input has a column of a type that cannot be read, {unknown[1]}: leave it out, or cast it to text"
        )
    if isinstance(error, PanicException):
        return BadRequestError("the input cannot be read as Parquet: its pages are not what its footer says")
    reason = str(error).strip().split("\n", 1)[0][:300]
    return BadRequestError(f"the input cannot be read as Parquet: {reason}")
