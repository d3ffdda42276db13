"""Read an input in a child process, and keep its rows as trusted pieces.

A file that was made to break its reader breaks the child only, and a long parse does not block the function. The child
writes the columns to `schema.arrow`, and the rows in order to `00000000.arrow`, `00000001.arrow`, ...
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import polars as pl

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.inputs.csv_rows import CsvRows
from pipeline.inputs.decompress import unpack
from pipeline.inputs.json_array import split_array
from pipeline.inputs.json_rows import JsonRows
from pipeline.inputs.limits import UNPACKED_LIMIT
from pipeline.inputs.parquet_rows import ParquetRows
from pipeline.inputs.sniff import check_kind
from pipeline.inputs.text_encoding import not_utf8, to_utf8
from pipeline.sandbox.child import Limits
from pipeline.sandbox.parent import ChildEndedError, call_in_child
from pipeline.spec.dialect import Dialect
from pipeline.spec.input_format import DELIMITERS, PACKINGS, TITLES, Format
from pipeline.store.cut_tasks import FIXED_BYTES, row_sizes
from pipeline.units import KIB, MIB

LIMITS = Limits(memory=768 * MIB, processor_seconds=3600, idle_seconds=120)
SCHEMA_FILE = "schema.arrow"
SMALL = 256 * KIB
AUTO = Dialect()


class Source(msgspec.Struct, frozen=True):
    """The file of an input, and the setting max_rows.

    `column` is the column that the submitter has named, '' for none; `pointer` is that to the array of a JSON input.
    """

    form: Format
    path: str
    max_rows: int
    dialect: Dialect = AUTO
    column: str = ""
    pointer: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the pieces, beside the file."""
        return Path(self.path).with_suffix(".rows")


class Contents(msgspec.Struct, frozen=True):
    """The number of rows of an input, the columns that hold JSON text, and the dialect in which a text was read."""

    rows: int
    json_columns: list[str]
    dialect: Dialect | None = None


@dataclass(frozen=True)
class Table:
    """Rows as pieces in a folder, the types of their columns, and the names of the columns that hold JSON text.

    `dialect` is that in which a CSV was read.
    """

    folder: Path
    schema: dict[str, pl.DataType]
    json_columns: frozenset[str]
    rows: int
    dialect: Dialect | None = None

    async def frames(self) -> AsyncIterator[pl.DataFrame]:
        """Yield the rows in order, a piece at a time."""
        rows_left, number = self.rows, 0
        while rows_left:
            frame = await asyncio.to_thread(pl.read_ipc, piece_path(self.folder, number))
            yield frame
            rows_left, number = rows_left - frame.height, number + 1


def piece_path(folder: Path, number: int) -> Path:
    """Return the path of a piece."""
    return folder / f"{number:08d}.arrow"


def write_piece(folder: Path, number: int, frame: pl.DataFrame) -> None:
    """Write some rows as a piece; raises OSError."""
    frame.write_ipc(piece_path(folder, number), compression="lz4")


def is_small(source: Source) -> bool:
    """Return whether a file is a plain CSV of a size that is read faster than a process starts."""
    with Path(source.path).open("rb") as file:
        head = file.read(SMALL + 1)
    return source.form in DELIMITERS and len(head) <= SMALL and not head.startswith(tuple(PACKINGS))


async def open_table(source: Source, *, in_child: bool = True) -> Table:
    """Read an input into a folder beside its file, in a child process or, where it is small, in a thread.

    Raises BadRequestError for an input that cannot be read, breaks a limit or has more than `max_rows` rows, and
    UnavailableError when there is no room on the disk or the child was killed from outside.
    """
    await asyncio.to_thread(source.folder.mkdir)
    try:
        if in_child:
            contents = await call_in_child(rewrite, source, LIMITS)
        else:
            contents = await asyncio.to_thread(rewrite, source)
    except ChildEndedError as error:
        # No limit of its own sends SIGKILL.
        if error.code == -signal.SIGKILL:
            raise UnavailableError(
                "the process that reads the input was killed: try again, with more memory for the function if it "
                "happens each time"
            ) from None
        raise BadRequestError(
            f"the input cannot be read as {TITLES[source.form]}: {error}; one of its lines or row groups may be too "
            "large"
        ) from None
    schema = (await asyncio.to_thread(pl.read_ipc, source.folder / SCHEMA_FILE)).schema
    return Table(source.folder, dict(schema), frozenset(contents.json_columns), contents.rows, contents.dialect)


@dataclass(frozen=True)
class Rows:
    """Rows of an open input: a frame without rows, frames in order, and the least of bytes that their cells take."""

    empty: pl.DataFrame
    frames: Iterator[pl.DataFrame]
    size: int = 0
    json_columns: Sequence[str] = ()
    dialect: Dialect | None = None


def rewrite(source: Source) -> Contents:
    """Read an input and write its pieces. The child process calls this; raises as `open_table`."""
    folder = source.folder
    try:
        rows = open_source(source)
        rows.empty.write_ipc(folder / SCHEMA_FILE)
        count = _write_pieces(folder, rows.frames, rows.size)
    except OSError as error:
        raise UnavailableError(f"the input cannot be stored under {folder}: {error.strerror}") from error
    return Contents(count, [*rows.json_columns], rows.dialect)


def open_source(source: Source) -> Rows:
    """Read the columns of an input; its rows are read with the frames. Raises as `open_table`, and OSError."""
    path, form = Path(source.path), source.form
    if form == "parquet":
        check_kind(path, form)
        table = ParquetRows.open(path, source.max_rows)
        empty = pl.DataFrame(schema=table.schema)
        return Rows(empty, table.frames(), _least_size(table.count, empty.width))
    path, encoding = to_utf8(unpack(path, form), source.dialect.encoding)
    check_kind(path, form)
    if form in DELIMITERS:
        return _open_csv(source, path, encoding)
    rows = _open_json(source, path)
    count = rows.infer(source.max_rows)
    empty = rows.frame([])
    return Rows(empty, rows.frames(), _least_size(count, empty.width), rows.json_columns)


def _open_csv(source: Source, path: Path, encoding: str) -> Rows:
    dialect = msgspec.structs.replace(source.dialect, encoding=encoding)
    try:
        open_text = partial(path.open, encoding="utf-8-sig", newline="")
        rows = CsvRows.open(open_text, dialect, DELIMITERS[source.form], source.column)
        return Rows(rows.empty(), _in_utf8(path, rows.frames(source.max_rows)), dialect=rows.dialect)
    except UnicodeDecodeError:
        raise not_utf8(path) from None


def _in_utf8(path: Path, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    try:
        yield from frames
    except UnicodeDecodeError:
        raise not_utf8(path) from None


def _open_json(source: Source, path: Path) -> JsonRows:
    if source.form == "ndjson":
        return JsonRows(path, "line")
    lines = source.folder / "lines"
    with lines.open("wb") as target:
        split_array(path, target, source.pointer)
    return JsonRows(lines, "row")


def _least_size(rows: int, columns: int) -> int:
    """Return the bytes of all cells when they are empty; raises BadRequestError when they are too many."""
    if rows and not columns:
        raise BadRequestError("the input has rows, and no columns")
    if rows * columns * FIXED_BYTES > UNPACKED_LIMIT:
        raise BadRequestError(
            f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked: it has {columns} columns, and a cell "
            f"takes {FIXED_BYTES} bytes, a missing one too"
        )
    return rows * columns * FIXED_BYTES


def _write_pieces(folder: Path, frames: Iterator[pl.DataFrame], size: int) -> int:
    """Write the pieces and return the number of rows; `size` is the bytes of all cells when they are empty."""
    count = 0
    for number, frame in enumerate(frames):
        size += int(row_sizes(frame).sum())
        if size > UNPACKED_LIMIT:
            raise BadRequestError(f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked")
        write_piece(folder, number, frame)
        count += frame.height
    return count
