"""Plan and run queries of the joined table in child processes: a query may be made to take all memory or all time."""

import asyncio
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sandbox.child import Limits
from pipeline.sandbox.parent import call_in_child
from pipeline.sql.child import CELL, OUTPUTS, Answer, Order, answer_order, read_columns
from pipeline.sql.rewrite import Query, assignments, check_types
from pipeline.sql.scopes import listed
from pipeline.units import KIB, MIB

MOST_BYTES = 1024 * MIB
SHOWN_BYTES = 16 * KIB


def query_limits(seconds: float, memory: int, most_bytes: int = MOST_BYTES) -> Limits:
    """Return the limits of one query: seconds in all, on every processor; bytes of memory and of the answer."""
    processors = os.cpu_count() or 1
    return Limits(
        memory=memory, seconds=seconds, processor_seconds=math.ceil(seconds * processors), file_bytes=most_bytes
    )


# A replica that cuts or joins a large table shares the memory of stack.yml with one of these.
PLAN = query_limits(20, 384 * MIB)
RUN = query_limits(300, 640 * MIB)


class Queries:
    """Plans and runs queries, few at a time: each may take as much memory as its limit."""

    def __init__(self, plan: Limits = PLAN, run: Limits = RUN) -> None:
        self._plan = plan
        self._run = run
        self._planning = asyncio.Semaphore(2)
        self._running = asyncio.Semaphore(1)

    async def plan(self, query: Query, schema: Mapping[str, pl.DataType]) -> None:
        """Raise BadRequestError unless polars can run the query over a table with these columns.

        Raises UnavailableError when no process can be started or it takes too long: the machine may be busy.
        """
        check_types(query, schema)
        columns = pl.DataFrame(schema={**schema, **dict.fromkeys(query.paths, pl.String())})
        order = _order(query, {}, columns=columns.write_ipc(None).getvalue())
        try:
            async with self._planning:
                await call_in_child(answer_order, order, self._plan)
        except TimeoutError:
            raise UnavailableError(f"sql could not be planned within {self._plan.seconds:g} s: try again") from None
        except BadRequestError as error:
            raise BadRequestError(
                f"sql: it cannot be run: {query.spoken(str(error))}",
                [f"the columns of results are: {listed(list(schema))}; any other name is a field of the results"],
            ) from error

    async def columns(self, parquet: bytes) -> dict[str, pl.DataType] | None:
        """Return the columns of a Parquet file without its rows; None when they cannot be read, within the limits.

        Raises UnavailableError when no process can be started.
        """
        try:
            async with self._planning:
                empty = await call_in_child(read_columns, parquet, self._plan)
        except (BadRequestError, TimeoutError):
            return None
        return dict(pl.read_ipc(empty).schema)

    async def run(self, query: Query, pieces: Sequence[Path], types: Mapping[str, pl.DataType], into: Path) -> Answer:
        """Run the query over Parquet files and write OUTPUTS to a folder; an error of the query is in the answer.

        `types` are those of the table's columns, and of the fields that the results have. Raises UnavailableError when
        no process can be started.
        """
        fields = {name: dtype for name, dtype in types.items() if name in query.paths}
        order = _order(query, fields, pieces=[str(piece) for piece in pieces], into=str(into))
        try:
            check_types(query, types)
            async with self._running:
                answer = await call_in_child(answer_order, order, self._run)
        except TimeoutError:
            return Answer(error=f"it took more than {self._run.seconds:g} s")
        except BadRequestError as error:
            return Answer(error=query.spoken(str(error)))
        most_bytes = self._run.file_bytes or MOST_BYTES
        if answer.error is None and await asyncio.to_thread(_size, into) > most_bytes:
            return Answer(error=f"the answer has more than {most_bytes // MIB} MiB")
        return answer


def status_of(answer: Answer) -> dict[str, Any]:
    """Return an answer for the status, in at most 16 KiB: with shorter cells or fewer rows if it needs them."""
    shown = answer
    for cell in (CELL, CELL // 4, CELL // 16):
        shown = msgspec.structs.replace(
            answer,
            columns=[name[:cell] for name in answer.columns],
            first=[[value[:cell] if isinstance(value, str) else value for value in row] for row in answer.first],
        )
        if _fits(shown):
            break
    while not _fits(shown) and shown.first:
        shown = msgspec.structs.replace(shown, first=shown.first[:-1])
    return dict(msgspec.to_builtins(shown))


def _fits(answer: Answer) -> bool:
    return len(msgspec.json.encode(answer)) <= SHOWN_BYTES


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in OUTPUTS)


def _order(query: Query, fields: Mapping[str, pl.DataType], **rest: Any) -> Order:
    choices = [{name: str(dtype) for name, dtype in types.items()} for types in assignments(query, fields)]
    return Order(
        text=query.text,
        planned=list(query.planned),
        names=[select.output_name for select in query.tree.selects],
        types=[types for place, types in enumerate(choices) if types not in choices[:place]],
        **rest,
    )
