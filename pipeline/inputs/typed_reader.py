"""Read an input of typed columns (Parquet, NDJSON, JSON) in a child process, and keep its rows as trusted pieces.

A file that was made to break its reader breaks the child only, and a long parse does not block the function. The child
writes the columns to `schema.arrow`, and the rows in order to `00000000.arrow`, `00000001.arrow`, ...
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.inputs.decompress import unpack
from pipeline.inputs.json_array import split_array
from pipeline.inputs.json_rows import JsonRows
from pipeline.inputs.limits import UNPACKED_LIMIT
from pipeline.inputs.parquet_rows import ParquetRows
from pipeline.inputs.sniff import check_kind
from pipeline.sandbox.child import Limits
from pipeline.sandbox.parent import ChildEndedError, call_in_child
from pipeline.spec.input_format import TITLES, Format
from pipeline.store.cut_tasks import FIXED_BYTES, row_sizes
from pipeline.units import MIB

LIMITS = Limits(memory=768 * MIB, processor_seconds=3600, idle_seconds=120)
SCHEMA_FILE = "schema.arrow"


class Source(msgspec.Struct, frozen=True):
    """The file of an input, the folder for its pieces, and the setting max_rows."""

    form: Format
    path: str
    folder: str
    max_rows: int


class Contents(msgspec.Struct, frozen=True):
    """The number of rows of an input, and the columns that hold JSON text."""

    rows: int
    json_columns: list[str]


@dataclass(frozen=True)
class Table:
    """Rows as pieces in a folder, the types of their columns, and the names of the columns that hold JSON text."""

    folder: Path
    schema: dict[str, pl.DataType]
    json_columns: frozenset[str]
    rows: int

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


async def open_table(path: Path, form: Format, max_rows: int) -> Table:
    """Read an input into a folder beside its file.

    Raises BadRequestError for an input that cannot be read, breaks a limit or has more than `max_rows` rows, and
    UnavailableError when there is no room on the disk or the child was killed from outside.
    """
    folder = path.with_suffix(".rows")
    await asyncio.to_thread(folder.mkdir)
    try:
        contents = await call_in_child(rewrite, Source(form, str(path), str(folder), max_rows), LIMITS)
    except ChildEndedError as error:
        # No limit of its own sends SIGKILL.
        if error.code == -signal.SIGKILL:
            raise UnavailableError(
                "the process that reads the input was killed: try again, with more memory for the function if it "
                "happens each time"
            ) from None
        raise BadRequestError(
            f"the input cannot be read as {TITLES[form]}: {error}; one of its lines or row groups may be too large"
        ) from None
    schema = (await asyncio.to_thread(pl.read_ipc, folder / SCHEMA_FILE)).schema
    return Table(folder, dict(schema), frozenset(contents.json_columns), contents.rows)


def rewrite(source: Source) -> Contents:
    """Read an input and write its pieces. The child process calls this; raises as `open_table`."""
    path, folder = Path(source.path), Path(source.folder)
    try:
        if source.form == "parquet":
            check_kind(path, source.form)
            table = ParquetRows.open(path, source.max_rows)
            empty, count, frames, json_columns = pl.DataFrame(schema=table.schema), table.count, table.frames(), []
        else:
            rows = _json_rows(source.form, path, folder)
            count = rows.infer(source.max_rows)
            empty, frames, json_columns = rows.frame([]), rows.frames(), rows.json_columns
        _check_cell_count(count, empty.width)
        empty.write_ipc(folder / SCHEMA_FILE)
        _write_pieces(folder, frames, count * empty.width * FIXED_BYTES)
    except OSError as error:
        raise UnavailableError(f"the input cannot be stored under {folder}: {error.strerror}") from error
    return Contents(count, json_columns)


def _json_rows(form: Format, path: Path, folder: Path) -> JsonRows:
    plain = unpack(path, form)
    check_kind(plain, form)
    if form == "ndjson":
        return JsonRows(plain, "line")
    lines = folder / "lines"
    with lines.open("wb") as target:
        split_array(plain, target)
    return JsonRows(lines, "row")


def _check_cell_count(rows: int, columns: int) -> None:
    if rows and not columns:
        raise BadRequestError("the input has rows, and no columns")
    if rows * columns * FIXED_BYTES > UNPACKED_LIMIT:
        raise BadRequestError(
            f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked: it has {columns} columns, and a cell "
            f"takes {FIXED_BYTES} bytes, a missing one too"
        )


def _write_pieces(folder: Path, frames: Iterator[pl.DataFrame], size: int) -> None:
    """Write the pieces; `size` is the bytes of all cells when they are empty."""
    for number, frame in enumerate(frames):
        size += int(row_sizes(frame).sum())
        if size > UNPACKED_LIMIT:
            raise BadRequestError(f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked")
        write_piece(folder, number, frame)
