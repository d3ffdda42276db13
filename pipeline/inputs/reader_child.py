"""`python -m pipeline.inputs.reader_child FORMAT FILE FOLDER MOST`: rewrite an input as trusted pieces.

It is a process of its own: a file that was made to break its reader breaks no replica, and a long parse holds none up.
Into FOLDER go `schema.arrow`, with the columns and no rows, and the rows in order as `00000000.arrow`, ... On stdout
JSON says what there is (Found) or what is wrong (Fault).
"""

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl

from pipeline.errors import BadRequestError, PipelineError, UnavailableError
from pipeline.inputs.decompress import UNPACKED_LIMIT, unpack
from pipeline.inputs.json_array import split_array
from pipeline.inputs.json_rows import JsonRows
from pipeline.inputs.parquet_rows import ParquetRows
from pipeline.inputs.sniff import check_kind
from pipeline.spec.input_format import Format
from pipeline.store.cutter import FIXED_BYTES, row_sizes
from pipeline.units import MIB

MEMORY_LIMIT = 768 * MIB
CPU_LIMIT = 3600
IDLE_LIMIT = 120
LEAST_WORK = 0.1
SCHEMA = "schema.arrow"


class Found(msgspec.Struct, frozen=True, tag="found"):
    """The number of rows, and the columns that are JSON text."""

    rows: int
    json_columns: list[str]


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """What is wrong; `ours` where it is not the input's fault."""

    problem: str
    ours: bool = False


def piece_name(number: int) -> str:
    """Return the name of a piece of rows."""
    return f"{number:08d}.arrow"


def rewrite(form: Format, path: Path, folder: Path, most: int) -> Found:
    """Read an input and write the pieces; raises BadRequestError, and UnavailableError when there is no room."""
    try:
        if form == "parquet":
            check_kind(path, form)
            table = ParquetRows.open(path, most)
            empty, count, frames, json_columns = pl.DataFrame(schema=table.schema), table.count, table.frames(), []
        else:
            rows = _json_rows(form, path, folder)
            count = rows.infer(most)
            empty, frames, json_columns = rows.frame([]), rows.frames(), rows.json_columns
        _check_cells(count, empty.width)
        empty.write_ipc(folder / SCHEMA)
        _write(folder, frames, count * empty.width * FIXED_BYTES)
    except OSError as error:
        raise UnavailableError(f"the input cannot be kept under {folder}: {error.strerror}") from error
    return Found(count, json_columns)


def _json_rows(form: Format, path: Path, folder: Path) -> JsonRows:
    plain = unpack(path, form)
    check_kind(plain, form)
    if form == "ndjson":
        return JsonRows(plain, "line")
    lines = folder / "lines"
    with lines.open("wb") as target:
        split_array(plain, target)
    return JsonRows(lines, "row")


def _check_cells(rows: int, columns: int) -> None:
    if rows and not columns:
        raise BadRequestError("the input has rows, and no columns")
    if rows * columns * FIXED_BYTES > UNPACKED_LIMIT:
        raise BadRequestError(
            f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked: it has {columns} columns, and a cell "
            f"takes {FIXED_BYTES} bytes, a missing one too"
        )


def _write(folder: Path, frames: Iterator[pl.DataFrame], size: int) -> None:
    """Write the pieces; `size` is what the cells take that hold nothing."""
    for number, frame in enumerate(frames):
        size += int(row_sizes(frame).sum())
        if size > UNPACKED_LIMIT:
            raise BadRequestError(f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked")
        frame.write_ipc(folder / piece_name(number), compression="lz4")


def watch() -> None:
    """Let the system end this process when it stands still: an allocation that fails can leave threads that wait.

    What holds Python's lock then holds this thread up too, and the alarm, which the system rings, is not put off.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(IDLE_LIMIT)

    def put_off() -> None:
        used = 0.0
        while True:
            time.sleep(IDLE_LIMIT / 4)
            if time.process_time() - used > LEAST_WORK:
                signal.alarm(IDLE_LIMIT)
            used = time.process_time()

    threading.Thread(target=put_off, daemon=True).start()


def main(form: Format, path: str, folder: str, most: str) -> None:
    """Run within bounds of memory and time, and say on stdout what was found."""
    # What is mapped, and not what is reserved: an allocator reserves far more than it uses.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT + 60))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    watch()
    try:
        told: Found | Fault = rewrite(form, Path(path), Path(folder), int(most))
    except PipelineError as error:
        told = Fault(str(error), ours=isinstance(error, UnavailableError))
    except MemoryError:
        told = Fault(f"a part of the input takes more than {MEMORY_LIMIT // MIB} MiB of memory")
    sys.stdout.buffer.write(msgspec.json.encode(told))
    sys.stdout.flush()
    # Whatever a library still does in the background is of no use.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
