"""Read the rows of a Parquet file, in order, a slice at a time. One may break its reader: `reading` runs it apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import polars as pl
from polars.exceptions import PanicException, PolarsError

from pipeline.errors import BadRequestError
from pipeline.inputs.decompress import LINE_LIMIT, MOST_COLUMNS, PIECE_CELLS
from pipeline.store.cutter import row_sizes
from pipeline.units import MIB

MOST_NESTED = 32
SLICE_ROWS = 16 * 1024
SLICE_BYTES = 16 * MIB
_UNKNOWN_TYPE = re.compile(r"could not import from `(\w{1,80})` type")


@dataclass(frozen=True)
class ParquetRows:
    """A Parquet file: its rows, how many they are, and the types in which its columns are kept.

    That is text for categories and for no type at all, pairs for maps, and for an extension what it is stored as.
    """

    rows: pl.LazyFrame
    schema: dict[str, pl.DataType]
    count: int

    @classmethod
    def open(cls, path: Path, most: int) -> Self:
        """Read what the file says of itself; raises BadRequestError for what cannot be read, or is too much."""
        try:
            rows = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            schema = dict(rows.collect_schema())
            count = int(rows.select(pl.len()).collect().item())
        except (PolarsError, OSError, PanicException) as error:
            raise _unreadable(error) from error
        if count > most:
            raise BadRequestError(f"the input has more than {most} rows (setting max_rows)")
        if len(schema) > MOST_COLUMNS:
            raise BadRequestError(f"the input has too many columns: expected at most {MOST_COLUMNS}")
        return cls(rows, {name: kept_as(name, dtype) for name, dtype in schema.items()}, count)

    def _as_kept(self, frame: pl.DataFrame) -> pl.DataFrame:
        columns = zip(self.schema.items(), map(_stored, frame.iter_columns()), strict=True)
        return pl.DataFrame(
            {name: cells if cells.dtype == kept else cells.cast(kept) for (name, kept), cells in columns}
        )

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in order; what a slice takes of memory is bounded where the last one tells of the next."""
        start, most = 0, max(1, PIECE_CELLS // max(1, len(self.schema)))
        height = min(most, 256)
        while start < self.count:
            try:
                frame = self.rows.slice(start, height).collect(engine="streaming")
                frame = self._as_kept(frame)
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
            fitting = SLICE_BYTES * frame.height // max(1, int(sizes.sum()))
            height = max(1, min(most, SLICE_ROWS, 2 * height, fitting))


def kept_as(name: str, dtype: pl.DataType, depth: int = 0) -> pl.DataType:
    """Return the type in which a column is kept; raises BadRequestError for one that cannot be."""
    if depth > MOST_NESTED:
        raise BadRequestError(f"the column {name[:80]!r} is nested too deep: expected at most {MOST_NESTED} levels")

    def inside(inner: object) -> pl.DataType:
        return kept_as(name, _typed(inner), depth + 1)

    kept = dtype
    match dtype:
        case pl.List():
            kept = pl.List(inside(dtype.inner))
        case pl.Array():
            kept = pl.Array(inside(dtype.inner), dtype.size)
        case pl.Struct():
            kept = pl.Struct({field.name: inside(field.dtype) for field in dtype.fields})
        case pl.Map():
            kept = pl.List(pl.Struct({"key": inside(dtype.key), "value": inside(dtype.value)}))
        case pl.BaseExtension() if not depth:
            kept = inside(dtype.ext_storage())
        case pl.Categorical() | pl.Enum() | pl.Null():
            kept = pl.String()
        case pl.Object() | pl.Unknown() | pl.BaseExtension():
            raise BadRequestError(f"the column {name[:80]!r} is of a type that cannot be read: {dtype}")
    return kept


def _stored(cells: pl.Series) -> pl.Series:
    return cells.ext.storage() if isinstance(cells.dtype, pl.BaseExtension) else cells


def _typed(dtype: object) -> pl.DataType:
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
