"""Read the rows of a CSV or TSV file, in order and with bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import polars as pl
from polars.exceptions import PolarsError

from pipeline.errors import BadRequestError
from pipeline.inputs.decompress import unpack
from pipeline.inputs.items import check_names
from pipeline.inputs.limits import BLANK_LIMIT, LINE_LIMIT, MOST_COLUMNS, PIECE_CELLS
from pipeline.inputs.sniff import check_kind
from pipeline.spec.input_format import TITLES, Format
from pipeline.store.columns import nameless
from pipeline.units import MIB

SEPARATORS: MappingProxyType[Format, bytes] = MappingProxyType({"csv": b",", "tsv": b"\t"})
_NOT_UTF8 = "it is not UTF-8: convert it, for example with iconv -f latin1 -t utf-8"


def open_rows(path: Path, form: Format = "csv", charge: Callable[[int], None] | None = None) -> pl.LazyFrame | None:
    """Scan a CSV or TSV file, plain, gzip or zstd; None when there is no header line at all. Every cell is text.

    Raises BadRequestError for a file that is not of this format in UTF-8, or breaks a limit, and as `unpack`.
    """
    path = unpack_lines(path, form, charge)
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


def unpack_lines(path: Path, form: Format = "csv", charge: Callable[[int], None] | None = None) -> Path:
    """Unpack a file and check its header, lines and missing cells; raises BadRequestError, and as `unpack`."""
    return unpack(path, form, _Limits(SEPARATORS[form]).check, charge)


async def count_lines(rows: pl.LazyFrame, form: Format = "csv") -> int:
    """Count the lines, blank ones too; raises BadRequestError when they cannot be read."""
    pieces, count = iter(rows.select(pl.nth(0)).collect_batches()), 0
    try:
        # A piece at a time: a thread cannot be stopped, and may not go on for a request that is over.
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            count += piece.height
    except (PolarsError, OSError) as error:
        raise _unreadable(error, form) from error
    return count


async def read_lines(rows: pl.LazyFrame, form: Format = "csv") -> AsyncIterator[pl.DataFrame]:
    """Yield the rows as frames in order. A line with nothing in it is no row; a line of quoted empty cells is one.

    Raises BadRequestError when a row cannot be read, and for more than 10,000,000 blank lines.
    """
    frames = iter(rows.collect_batches(maintain_order=True))
    blank = 0
    while True:
        try:
            lines, frame = await asyncio.to_thread(_next_frame, frames)
        except (PolarsError, OSError) as error:
            raise _unreadable(error, form) from error
        if not lines:
            return
        blank += lines - frame.height
        if blank > BLANK_LIMIT:
            raise BadRequestError(f"the input has more than {BLANK_LIMIT} blank lines")
        yield frame


def _next_frame(frames: Iterator[pl.DataFrame]) -> tuple[int, pl.DataFrame]:
    """Return the number of the next lines, 0 for none, and their rows."""
    lines = next((frame for frame in frames if frame.height), pl.DataFrame())
    return lines.height, _without_blank_lines(lines) if lines.height else lines


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop the rows in which every cell is missing."""
    blank = nameless(frame.to_series(0)).is_null()
    for cells in frame.iter_columns():
        if not blank.any():
            return frame
        blank = blank & nameless(cells).is_null()
    return frame.filter(~blank)


def _unreadable(error: Exception, form: Format) -> BadRequestError:
    reason = str(error).strip().split("\n", 1)[0]
    if "utf-8" in reason.lower() or "utf8" in reason.lower():
        reason = _NOT_UTF8
    return BadRequestError(f"the input cannot be read as {TITLES[form]}: {reason}")


@dataclass
class _Limits:
    """Checks a file piece by piece: its header, its longest line, its missing cells.

    `line_size` counts the bytes of the last line so far, `is_quoted` says whether the next piece begins in quotes.
    """

    separator: bytes
    columns: int = 0
    line_size: int = 0
    is_quoted: bool = False

    def check(self, piece: bytes) -> None:
        """Check the next MiB of the file; raises BadRequestError for a part that would fill a replica's memory."""
        self.columns = self.columns or _count_columns(piece, self.separator)
        end = _last_newline(piece, is_quoted=self.is_quoted)
        self.line_size = self.line_size + len(piece) if end < 0 else len(piece) - end
        if self.line_size > LINE_LIMIT:
            raise BadRequestError(f"the input has a line over {LINE_LIMIT // MIB} MiB, or a quote that is never closed")
        if self._is_sparse(piece):
            raise BadRequestError(
                f"the input has {self.columns} columns, and too many lines with most of their cells missing"
            )
        self.is_quoted ^= piece.count(b'"') % 2 == 1

    def _is_sparse(self, piece: bytes) -> bool:
        """Return whether the lines of a piece have far more cells than letters: a missing cell takes memory too."""
        if piece.count(b"\n") * self.columns <= PIECE_CELLS:
            return False
        outside = piece.split(b'"')[int(self.is_quoted) :: 2]
        return sum(text.count(b"\n") for text in outside) * self.columns > PIECE_CELLS


def _last_newline(piece: bytes, *, is_quoted: bool) -> int:
    """Return the place of the last newline outside of quotes, -1 for none; `is_quoted` is the start of the piece."""
    inside = is_quoted ^ (piece.count(b'"') % 2 == 1)
    place = len(piece)
    while (newline := piece.rfind(b"\n", 0, place)) >= 0:
        inside ^= piece.count(b'"', newline, place) % 2 == 1
        if not inside:
            return newline
        place = piece.rfind(b'"', 0, newline)
        if place < 0:
            return -1
        inside = False
    return -1


def _count_columns(head: bytes, separator: bytes) -> int:
    """Count the columns in the first MiB, a separator in a name too; raises BadRequestError for too many."""
    *lines, last = head.split(b"\n")
    separators, is_quoted = 0, False
    for line in lines:
        separators += line.count(separator)
        is_quoted ^= line.count(b'"') % 2 == 1
        if line.strip() and not is_quoted:
            break
    else:
        separators = MOST_COLUMNS if len(head) == MIB else separators + last.count(separator)
    if separators >= MOST_COLUMNS:
        raise BadRequestError(
            f"the input's header is too large: expected at most {MOST_COLUMNS} columns, in at most 1 MiB with the "
            "blank lines before it"
        )
    return separators + 1
