"""Read the rows of a CSV or TSV file, in order and with bounded memory."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from pipeline.errors import BadRequestError
from pipeline.inputs.decompress import BLANK_LIMIT, SEPARATORS, unpack
from pipeline.inputs.items import as_text, check_names, numbered
from pipeline.inputs.sniff import check_kind
from pipeline.spec.input_format import TITLES, Format

_NOT_UTF8 = "it is not UTF-8: convert it, for example with iconv -f latin1 -t utf-8"


def open_rows(path: Path, form: Format = "csv") -> pl.LazyFrame | None:
    """Scan a CSV or TSV file, plain, gzip or zstd; None when there is no header line at all. Every cell is text.

    A packed file is unpacked beside itself first. Raises BadRequestError for what is no such file in UTF-8, and for
    what no replica could hold; UnavailableError when there is no room for what is unpacked.
    """
    path = unpack(path, form)
    check_kind(path, form)
    try:
        rows = pl.scan_csv(path, infer_schema=False, glob=False, separator=SEPARATORS[form].decode())
        names = rows.collect_schema().names()
    except pl.exceptions.NoDataError:
        return None
    except (PolarsError, OSError) as error:
        raise _unreadable(error, form) from error
    if any("\ufffd" in name or "\x00" in name for name in names):
        raise BadRequestError(f"the input cannot be read as {TITLES[form]}: {_NOT_UTF8}")
    if any("\r" in name.replace("\r\n", "") for name in names):
        raise BadRequestError("the input's lines end in CR alone, expected LF or CRLF: convert it with tr '\\r' '\\n'")
    check_names(names)
    return rows


async def count_lines(rows: pl.LazyFrame, form: Format = "csv") -> int:
    """Count the lines, blank ones too; raises BadRequestError where they cannot be read."""
    try:
        return int((await asyncio.to_thread(rows.select(pl.len()).collect, engine="streaming")).item())
    except (PolarsError, OSError) as error:
        raise _unreadable(error, form) from error


async def read_lines(rows: pl.LazyFrame, form: Format = "csv") -> AsyncIterator[pl.DataFrame]:
    """Yield the rows as frames in order. A line with nothing in it is no row; one with quoted empty cells is.

    Raises BadRequestError where a row cannot be read, and for more than 10,000,000 blank lines.
    """
    frames = iter(rows.collect_batches(maintain_order=True))
    blank = 0
    while True:
        try:
            frame = await asyncio.to_thread(next, frames, None)
        except (PolarsError, OSError) as error:
            raise _unreadable(error, form) from error
        if frame is None:
            return
        lines = frame.height
        frame = _without_blank_lines(frame)
        blank += lines - frame.height
        if blank > BLANK_LIMIT:
            raise BadRequestError(f"the input has more than {BLANK_LIMIT} blank lines")
        yield frame


def read_rows(rows: pl.LazyFrame, column: str, most: int) -> AsyncIterator[pl.DataFrame]:
    """Yield the rows of a CSV with the cells of `column` as items: see `read_lines` and `numbered`.

    A missing cell is an empty item.
    """
    return numbered(read_lines(rows), partial(as_text, column=column, missing=""), most)


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop the rows in which every cell is missing."""
    blank = frame.to_series(0).is_null()
    for cells in frame.iter_columns():
        if not blank.any():
            return frame
        blank = blank & cells.is_null()
    return frame.filter(~blank)


def _unreadable(error: Exception, form: Format) -> BadRequestError:
    reason = str(error).strip().split("\n", 1)[0]
    if "utf-8" in reason.lower() or "utf8" in reason.lower():
        reason = _NOT_UTF8
    return BadRequestError(f"the input cannot be read as {TITLES[form]}: {reason}")
