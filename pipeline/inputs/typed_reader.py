"""Open an input of typed columns, Parquet, NDJSON or JSON: a process of its own reads it, within bounds."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.inputs.reader_child import MEMORY_LIMIT, SCHEMA, Fault, Found, piece_name
from pipeline.spec.input_format import TITLES, Format
from pipeline.units import MIB

_ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "POLARS_MAX_THREADS": "2",
    "RUST_BACKTRACE": "0",
    "_RJEM_MALLOC_CONF": "narenas:4,dirty_decay_ms:0,muzzy_decay_ms:0",
}


@dataclass(frozen=True)
class Table:
    """Rows as pieces in a folder, the types of their columns, and which of these are JSON text."""

    folder: Path
    schema: dict[str, pl.DataType]
    json_columns: frozenset[str]
    rows: int

    async def frames(self) -> AsyncIterator[pl.DataFrame]:
        """Yield the rows in order, a piece at a time."""
        left, number = self.rows, 0
        while left:
            frame = await asyncio.to_thread(_read, self.folder / piece_name(number))
            yield frame
            left, number = left - frame.height, number + 1


async def open_table(path: Path, form: Format, most: int) -> Table:
    """Read an input of at most `most` rows into a folder beside it.

    Raises BadRequestError for what cannot be read, or not within the bounds; UnavailableError when there is no room.
    """
    folder = path.with_suffix(".rows")
    await asyncio.to_thread(folder.mkdir)
    code, told = await _run([form, str(path), str(folder), str(most)])
    try:
        found = msgspec.json.decode(told, type=Found | Fault)
    except msgspec.DecodeError:
        # Not by its own limits, which end it with other signals.
        if code == -signal.SIGKILL:
            raise UnavailableError(
                "the process that reads the input was killed: try again, with more memory for the function where it "
                "happens each time"
            ) from None
        raise BadRequestError(
            f"the input cannot be read as {TITLES[form]}: it broke its reader (exit {code}), as one does whose parts "
            f"take more than {MEMORY_LIMIT // MIB} MiB of memory"
        ) from None
    if isinstance(found, Fault):
        raise (UnavailableError if found.ours else BadRequestError)(found.problem)
    schema = await asyncio.to_thread(_read, folder / SCHEMA)
    return Table(folder, dict(schema.schema), frozenset(found.json_columns), found.rows)


async def _run(arguments: Iterable[str]) -> tuple[int | None, bytes]:
    """Run the reader; returns its exit code and what it says. A caller that gives up ends it."""
    # Nothing of the function's own settings. A thread takes memory too, and backtraces take more where there is none.
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipeline.inputs.reader_child", *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        cwd="/",
        env=kept | _ENVIRONMENT,
    )
    try:
        told, _ = await process.communicate()
    finally:
        await _end(process)
    return process.returncode, told


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _read(path: Path) -> pl.DataFrame:
    return pl.read_ipc(path)
