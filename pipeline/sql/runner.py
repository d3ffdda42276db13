"""Check and run queries of the joined table in child processes: a query may be made to take all memory or all time."""

import asyncio
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pipeline.capacity import ANYBODY, AT_ONCE, Caller, few_at_once
from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sandbox.child import Limits
from pipeline.sandbox.parent import call_in_child
from pipeline.sql.check import Order, check_query
from pipeline.sql.child import Answer, durations, run_query
from pipeline.units import MIB

CHECK = Limits(memory=384 * MIB, seconds=20, processor_seconds=40)
# Two of these and the replica fit the memory of stack.yml.
RUN = Limits(memory=400 * MIB, seconds=300, processor_seconds=600, file_bytes=1024 * MIB)
MOST_COLUMNS = 50

log = logging.getLogger(__name__)


class Queries:
    """Checks and runs queries, few at a time: each may take as much memory as its limit."""

    def __init__(self, check: Limits = CHECK, run: Limits = RUN) -> None:
        self._check = check
        self._run = run
        self.checking = few_at_once()
        self._running = asyncio.Semaphore(AT_ONCE)

    async def check(self, sql: str, schema: Mapping[str, pl.DataType] | None, caller: Caller = ANYBODY) -> None:
        """Raise BadRequestError unless DuckDB can run the query over a table with these columns, None: some columns.

        Raises UnavailableError when no process can be started or it takes too long: the machine may be busy; and
        TooManyRequestsError.
        """
        empty = b"" if schema is None else await asyncio.to_thread(_empty_table, schema)
        try:
            async with self.checking.part(1, caller):
                units = durations(schema or {})
                order = Order(sql=sql, limits=self._check, empty=empty, durations=units)
                await call_in_child(check_query, order, self._check)
        except TimeoutError:
            raise UnavailableError(f"sql could not be checked within {self._check.seconds:g} s: try again") from None
        except BadRequestError as error:
            names = ", ".join(list(schema or ())[:MOST_COLUMNS])
            columns = f"the columns of results are: {names}; any other name is a field of the results"
            raise BadRequestError(f"sql: {error}", [columns] if names else []) from error

    async def run(self, sql: str, pieces: Sequence[Path], folder: Path, *, csv_safe: bool = False) -> Answer:
        """Run the query over Parquet files and write OUTPUTS to a folder; an error of the query is in the answer.

        With `csv_safe` the CSV has no formulas of a spreadsheet.

        Raises UnavailableError when no process can be started.
        """
        paths = [str(piece) for piece in pieces]
        order = Order(sql=sql, limits=self._run, pieces=paths, folder=str(folder), csv_safe=csv_safe)
        if waits := self._running.locked():
            log.info("the query waits: %d others run in this replica", AT_ONCE)
        try:
            async with self._running:
                if waits:
                    log.info("the query runs after its wait")
                return await call_in_child(run_query, order, self._run)
        except TimeoutError:
            return Answer(error=f"it took more than {self._run.seconds:g} s")
        except BadRequestError as error:
            return Answer(error=str(error))


def _empty_table(schema: Mapping[str, pl.DataType]) -> bytes:
    """Return a Parquet file without rows."""
    buffer = io.BytesIO()
    pl.DataFrame(schema=schema).write_parquet(buffer)
    return buffer.getvalue()
