"""Read the rows of a CSV file with Python's strict reader, which names the line of a fault.

Every cell is text. An empty cell is a missing one, and so is each that a short row lacks.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Self

import polars as pl

from pipeline.errors import BadRequestError
from pipeline.inputs.csv_dialect import HEAD_LINES, csv_reader, detect_delimiter
from pipeline.inputs.items import check_names
from pipeline.inputs.limits import BLANK_LIMIT, LINE_LIMIT, MOST_COLUMNS, NAMES_LIMIT, PIECE_CELLS
from pipeline.spec.dialect import Dialect
from pipeline.units import MIB

PIECE_LETTERS = 16 * MIB
_SHOWN = 60
_FAULTS = {
    "field larger": f"it has a cell over {LINE_LIMIT // MIB} MiB, or a quote that is never closed",
    "unexpected end": "a quote is opened in it and never closed",
    "expected after": (
        "a quoted cell goes on behind its closing quote: a quote inside of it is written twice (RFC 4180), or escape "
        "tells what stands before it"
    ),
}


@dataclass(frozen=True)
class CsvRows:
    """A CSV file with a known delimiter; `open_text` opens it, and keeps the ends of its lines."""

    open_text: Callable[[], IO[str]]
    dialect: Dialect
    columns: list[str]

    @classmethod
    def open(cls, open_text: Callable[[], IO[str]], dialect: Dialect, usual: str = ",", column: str = "") -> Self:
        """Read the header; `usual` is the delimiter of the format, and `column` that which the submitter has named.

        Raises BadRequestError for a header that cannot be used, and UnicodeDecodeError.
        """
        if dialect.delimiter == "auto":
            with open_text() as file:
                head = list(islice(file, dialect.skip, dialect.skip + HEAD_LINES))
            dialect = detect_delimiter(dialect, usual, head, column)
        with open_text() as file:
            first = next(filter(None, _Lines(file, dialect).rows()), None)
        if first is None:
            raise BadRequestError("the input is empty: expected a line with the names of its columns")
        header = dialect.header
        names = first if header is True else header or [f"column_{number + 1}" for number in range(len(first))]
        _check_header(names)
        return cls(open_text, dialect, names)

    def empty(self) -> pl.DataFrame:
        """Return a frame without rows."""
        return pl.DataFrame(schema=dict.fromkeys(self.columns, pl.String()))

    def frames(self, max_rows: int) -> Iterator[pl.DataFrame]:
        """Yield the rows in order, in frames of bounded size. A line with nothing in it is no row.

        Raises BadRequestError for a fault of a line, with its number, for more than `max_rows` rows, and for more than
        10,000,000 blank lines; and UnicodeDecodeError.
        """
        height, count = max(1, PIECE_CELLS // len(self.columns)), 0
        with self.open_text() as file:
            lines = _Lines(file, self.dialect)
            rows = filter(lines.has_cells, lines.rows())
            if self.dialect.header is True:
                next(rows)
            while piece := lines.take(rows, len(self.columns), height):
                count += len(piece)
                if count > max_rows:
                    raise BadRequestError(f"the input has more than {max_rows} rows (setting max_rows)")
                cells = zip(self.columns, zip(*piece, strict=True), strict=True)
                frame = pl.DataFrame({name: pl.Series(column, dtype=pl.String) for name, column in cells})
                yield frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


class _Lines:
    """The lines of an open file, and the rows that they make; what was read of them is counted."""

    def __init__(self, file: IO[str], dialect: Dialect) -> None:
        csv.field_size_limit(LINE_LIMIT)
        self._file = file
        self._dialect = dialect
        self._reader = csv_reader(self._read(), dialect)
        self._letters = self._blank = 0

    def _read(self) -> Iterator[str]:
        for line in islice(self._file, self._dialect.skip, None):
            self._letters += len(line)
            yield line

    def rows(self) -> Iterator[list[str]]:
        """Yield the cells of each row; raises BadRequestError with the line that cannot be read."""
        last = 0
        try:
            for row in self._reader:
                yield row
                last = self._reader.line_num
        except csv.Error as error:
            words = next((words for part, words in _FAULTS.items() if part in str(error)), str(error))
            line = self._dialect.skip + last + 1
            raise BadRequestError(f"line {line} of the input cannot be read: {words}") from None

    def has_cells(self, row: list[str]) -> bool:
        """Return whether a row has cells; raises BadRequestError for too many blank lines."""
        self._blank += not row
        if self._blank > BLANK_LIMIT:
            raise BadRequestError(f"the input has more than {BLANK_LIMIT} blank lines")
        return bool(row)

    def take(self, rows: Iterator[list[str]], width: int, height: int) -> list[list[str]]:
        """Return the next rows with `width` cells each: at most `height`, and few of large ones."""
        taken, end = [], self._letters + PIECE_LETTERS
        for row in rows:
            if len(row) != width:
                self._fit(row, width)
            taken.append(row)
            if len(taken) == height or self._letters > end:
                break
        return taken

    def _fit(self, row: list[str], width: int) -> None:
        """Give a short row its missing cells; raises BadRequestError for a row with too many."""
        if len(row) > width:
            line = self._dialect.skip + self._reader.line_num
            shown = self._dialect.delimiter.join(row)[:_SHOWN]
            raise BadRequestError(
                f"line {line} of the input has {len(row)} cells, expected {width} as in its header: {shown!r}"
            )
        row.extend([""] * (width - len(row)))


def _check_header(names: list[str]) -> None:
    if len(names) > MOST_COLUMNS or sum(map(len, names)) > NAMES_LIMIT:
        raise BadRequestError(
            f"the input's header is too large: expected at most {MOST_COLUMNS} columns, with names of at most "
            f"{NAMES_LIMIT // MIB} MiB together"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequestError(
            f"the input's header has {twice[:_SHOWN]!r} more than once: expected names that differ, in the file or as "
            "header, with skip for the file's own"
        )
    check_names(names)
