"""Read the rows of a CSV file, in order and with bounded memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from pipeline.cutting import INDEX, ITEM, TASK
from pipeline.errors import BadRequestError
from pipeline.models import MIB
from pipeline.unpacking import unpack

PREFERRED_COLUMN = "url"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NOT_UTF8 = "it is not UTF-8: convert it, for example with iconv -f latin1 -t utf-8"
_SHOWN_COLUMNS = 50
_SHOWN_LETTERS = 100
CELL_LIMIT = 16 * MIB
BLANK_LIMIT = 10_000_000


def open_rows(path: Path) -> pl.LazyFrame | None:
    """Scan a CSV file, plain, gzip or zstd; None when there is no header line at all. Every cell is text.

    A packed file is unpacked beside itself first. Raises BadRequestError for what is no CSV in UTF-8, and for what no
    replica could hold; UnavailableError when there is no room for what is unpacked.
    """
    path = unpack(path)
    with path.open("rb") as file:
        if file.read(2) in _UTF16:
            raise BadRequestError("the input is UTF-16, expected UTF-8: convert it with iconv -f utf-16 -t utf-8")
    try:
        rows = pl.scan_csv(path, infer_schema=False, glob=False)
        names = rows.collect_schema().names()
    except pl.exceptions.NoDataError:
        return None
    except (PolarsError, OSError) as error:
        raise _unreadable(error) from error
    if any("\ufffd" in name or "\x00" in name for name in names):
        raise BadRequestError(f"the input cannot be read as CSV: {_NOT_UTF8}")
    if any("\r" in name.replace("\r\n", "") for name in names):
        raise BadRequestError("the input's lines end in CR alone, expected LF or CRLF: convert it with tr '\\r' '\\n'")
    if {TASK, INDEX, ITEM} & set(names):
        raise BadRequestError(f"the columns {TASK}, {INDEX} and {ITEM} are the pipeline's own: rename them")
    return rows


def choose_column(rows: pl.LazyFrame, wanted: str | None) -> str:
    """Return the column whose cells are the items; raises BadRequestError listing the columns there are."""
    names = rows.collect_schema().names()
    if wanted is None and PREFERRED_COLUMN in names:
        return PREFERRED_COLUMN
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    shown = ", ".join(name[:_SHOWN_LETTERS] for name in names[:_SHOWN_COLUMNS])
    shown += ", ..." if len(names) > _SHOWN_COLUMNS else ""
    asked = (
        f"there is no column {wanted!r}" if wanted else f"name the column, there is none called {PREFERRED_COLUMN!r}"
    )
    raise BadRequestError(f"{asked}; the columns are: {shown}")


async def count_lines(rows: pl.LazyFrame) -> int:
    """Count the lines, blank ones too; raises BadRequestError where they cannot be read."""
    try:
        return int((await asyncio.to_thread(rows.select(pl.len()).collect, engine="streaming")).item())
    except (PolarsError, OSError) as error:
        raise _unreadable(error) from error


async def read_rows(rows: pl.LazyFrame, column: str, most: int) -> AsyncIterator[pl.DataFrame]:
    """Yield the rows as frames in order, with their index from 0; a missing cell of `column` is an empty item.

    The column has a name of our own in them, since polars reads some names as patterns. A line with nothing in it is
    no row; one with quoted empty cells is. Raises BadRequestError where a row cannot be read, for more than `most`
    rows or 10,000,000 blank lines, and for a cell of `column` over 16 MiB.
    """
    frames = iter(rows.collect_batches(maintain_order=True))
    index = blank = 0
    while True:
        try:
            frame = await asyncio.to_thread(next, frames, None)
        except (PolarsError, OSError) as error:
            raise _unreadable(error) from error
        if frame is None:
            return
        lines = frame.height
        frame = _without_blank_lines(frame.rename({column: ITEM})).with_columns(pl.col(ITEM).fill_null(""))
        blank += lines - frame.height
        if index + frame.height > most:
            raise BadRequestError(f"the input has more than {most} rows (setting max_rows)")
        if blank > BLANK_LIMIT:
            raise BadRequestError(f"the input has more than {BLANK_LIMIT} blank lines")
        _check_cells(frame.get_column(ITEM), index)
        yield frame.with_columns(pl.int_range(index, index + frame.height, dtype=pl.Int64, eager=True).alias(INDEX))
        index += frame.height


def _check_cells(cells: pl.Series, index: int) -> None:
    """Raise BadRequestError for a cell that is no body of a call; `index` is that of the first cell's row."""
    large = (cells.str.len_bytes() > CELL_LIMIT).arg_true()
    if large.len():
        raise BadRequestError(f"the cell of row {index + large[0] + 1} is over {CELL_LIMIT // MIB} MiB")


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop the rows in which every cell is missing."""
    blank = frame.get_column(ITEM).is_null()
    for cells in frame.iter_columns():
        if not blank.any():
            return frame
        blank = blank & cells.alias(ITEM).is_null()
    return frame.filter(~blank)


def _unreadable(error: Exception) -> BadRequestError:
    reason = str(error).strip().split("\n", 1)[0]
    if "utf-8" in reason.lower() or "utf8" in reason.lower():
        reason = _NOT_UTF8
    return BadRequestError(f"the input cannot be read as CSV: {reason}")
