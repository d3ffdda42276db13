"""Check and run queries of the joined table in child processes: a query may be made to take all memory or all time."""

import asyncio
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sandbox.child import Limits
from pipeline.sandbox.parent import call_in_child
from pipeline.sql.child import OUTPUTS, Answer, Order, check_query, read_columns, run_query
from pipeline.units import MIB

MOST_BYTES = 1024 * MIB
MOST_COLUMNS = 50


def query_limits(seconds: float, memory: int, most_bytes: int = MOST_BYTES) -> Limits:
    """Return the limits of one query: seconds in all, on every processor; bytes of memory and of the answer."""
    processors = os.cpu_count() or 1
    return Limits(
        memory=memory, seconds=seconds, processor_seconds=math.ceil(seconds * processors), file_bytes=most_bytes
    )


# A replica that cuts or joins a large table shares the memory of stack.yml with one of these.
CHECK = query_limits(20, 384 * MIB)
RUN = query_limits(300, 640 * MIB)


class Queries:
    """Checks and runs queries, few at a time: each may take as much memory as its limit."""

    def __init__(self, check: Limits = CHECK, run: Limits = RUN) -> None:
        self._check = check
        self._run = run
        self._checking = asyncio.Semaphore(2)
        self._running = asyncio.Semaphore(1)

    async def check(self, sql: str, schema: Mapping[str, pl.DataType] | None) -> None:
        """Raise BadRequestError unless DuckDB can run the query over a table with these columns, None: some columns.

        Raises UnavailableError when no process can be started or it takes too long: the machine may be busy.
        """
        empty = io.BytesIO()
        pl.DataFrame(schema=schema).write_parquet(empty)
        order = Order(sql=sql, empty=empty.getvalue() if schema is not None else b"")
        try:
            async with self._checking:
                await call_in_child(check_query, order, self._check)
        except TimeoutError:
            raise UnavailableError(f"sql could not be checked within {self._check.seconds:g} s: try again") from None
        except BadRequestError as error:
            names = ", ".join(list(schema or ())[:MOST_COLUMNS])
            columns = f"the columns of results are: {names}; any other name is a field of the results"
            raise BadRequestError(f"sql: {error}", [columns] if names else []) from error

    async def columns(self, parquet: bytes) -> dict[str, pl.DataType] | None:
        """Return the columns of a Parquet file without its rows; None when they cannot be read, within the limits.

        Raises UnavailableError when no process can be started.
        """
        try:
            async with self._checking:
                empty = await call_in_child(read_columns, parquet, self._check)
        except (BadRequestError, TimeoutError):
            return None
        return dict(pl.read_ipc(empty).schema)

    async def run(self, sql: str, pieces: Sequence[Path], folder: Path) -> Answer:
        """Run the query over Parquet files and write OUTPUTS to a folder; an error of the query is in the answer.

        Raises UnavailableError when no process can be started.
        """
        order = Order(sql=sql, pieces=[str(piece) for piece in pieces], folder=str(folder))
        try:
            async with self._running:
                answer = await call_in_child(run_query, order, self._run)
        except TimeoutError:
            return Answer(error=f"it took more than {self._run.seconds:g} s")
        except BadRequestError as error:
            return Answer(error=str(error))
        most_bytes = self._run.file_bytes or MOST_BYTES
        if answer.error is None and await asyncio.to_thread(_size, folder) > most_bytes:
            return Answer(error=f"the answer has more than {most_bytes // MIB} MiB")
        return answer


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in OUTPUTS)
