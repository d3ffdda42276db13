"""Ask a query of the joined table, in a process apart: it may be made to take all memory or all time."""

import asyncio
import base64
import contextlib
import math
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import polars as pl

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sql.child import CELL, OUTPUTS, Answer, Footer, Order
from pipeline.sql.rewrite import Query, assignments, check_types
from pipeline.sql.scopes import listed
from pipeline.units import KIB, MIB

MOST_BYTES = 1024 * MIB
SHOWN_BYTES = 16 * KIB
THREADS = 2
_ROOT = Path(__file__).parents[2]
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
# Memory is given back at once: what polars keeps for later counts against the limit.
_ALLOCATOR = "dirty_decay_ms:0,muzzy_decay_ms:0"


@dataclass(frozen=True)
class Limits:
    """What one process may take: seconds of time, and of each of the machine's processors; bytes of memory."""

    seconds: float
    memory: int


# Beside a replica that cuts or joins a large table, in the memory that stack.yml gives to both.
PLAN = Limits(20, 384 * MIB)
RUN = Limits(300, 640 * MIB)


class Queries:
    """Runs queries, few at a time: each may take as much memory as its limit is."""

    def __init__(self, plan: Limits = PLAN, run: Limits = RUN) -> None:
        self._plan = plan
        self._run = run
        self._planning = asyncio.Semaphore(2)
        self._running = asyncio.Semaphore(1)

    async def plan(self, query: Query, schema: Mapping[str, pl.DataType]) -> None:
        """Raise BadRequestError unless polars can run the query over a table with these columns.

        Raises UnavailableError where no process can be started, and where it takes too long: the machine may be busy.
        """
        check_types(query, schema)
        columns = pl.DataFrame(schema={**schema, **dict.fromkeys(query.paths, pl.String())})
        order = _order(query, {}, self._plan, columns=columns.write_ipc(None).getvalue())
        async with self._planning:
            try:
                answer = await _asked(order, self._plan)
            except TimeoutError:
                raise UnavailableError(f"sql could not be planned within {self._plan.seconds:g} s: try again") from None
        if answer.error:
            raise BadRequestError(
                f"sql: it cannot be run: {query.spoken(answer.error)}",
                [f"the columns of results are: {listed(list(schema))}; any other name is a field of the results"],
            )

    async def columns(self, parquet: bytes) -> dict[str, pl.DataType] | None:
        """Return the columns of a Parquet file without its rows; None where they cannot be read, within the limits."""
        order = Footer(parquet, self._plan.memory, MOST_BYTES, _processor_seconds(self._plan))
        async with self._planning:
            try:
                answer = await _asked(order, self._plan)
            except TimeoutError:
                return None
        return None if answer.error else dict(pl.read_ipc(base64.b64decode(answer.columns[0])).schema)

    async def run(self, query: Query, pieces: Sequence[Path], types: Mapping[str, pl.DataType], into: Path) -> Answer:
        """Run the query over these Parquet files and write OUTPUTS; what goes wrong with it is in the answer.

        `types` are those of the table's columns, and of the fields that were seen. Raises UnavailableError where no
        process can be started.
        """
        try:
            check_types(query, types)
        except BadRequestError as error:
            return Answer(error=str(error))
        known = {name: dtype for name, dtype in types.items() if name in query.paths}
        order = _order(query, known, self._run, pieces=[str(piece) for piece in pieces], into=str(into))
        async with self._running:
            try:
                answer = await _asked(order, self._run)
            except TimeoutError:
                answer = Answer(error=f"it took more than {self._run.seconds:g} s")
        if answer.error is None and await asyncio.to_thread(_size, into) > MOST_BYTES:
            return Answer(error=f"the answer has more than {MOST_BYTES // MIB} MiB")
        return msgspec.structs.replace(answer, error=query.spoken(answer.error)) if answer.error else answer


def status_of(answer: Answer) -> dict[str, Any]:
    """Return what the status says of an answer, in at most 16 KiB: with shorter cells or fewer rows where it has to."""
    shown = answer
    for cell in (CELL, CELL // 4, CELL // 16):
        shown = msgspec.structs.replace(
            answer,
            columns=[name[:cell] for name in answer.columns],
            first=[[each[:cell] if isinstance(each, str) else each for each in row] for row in answer.first],
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


def _order(query: Query, known: Mapping[str, pl.DataType], limits: Limits, **rest: Any) -> Order:
    tried = [{name: str(dtype) for name, dtype in types.items()} for types in assignments(query, known)]
    return Order(
        text=query.text,
        planned=list(query.planned),
        names=[each.output_name for each in query.tree.selects],
        types=[types for place, types in enumerate(tried) if types not in tried[:place]],
        memory=limits.memory,
        size=MOST_BYTES,
        seconds=_processor_seconds(limits),
        **rest,
    )


def _processor_seconds(limits: Limits) -> int:
    return math.ceil(limits.seconds * (os.cpu_count() or 1))


def environment() -> dict[str, str]:
    """Return what a process is told of this one's environment: no setting, and no secret."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    polars = {"POLARS_MAX_THREADS": str(THREADS), "_RJEM_MALLOC_CONF": _ALLOCATOR}
    return kept | polars | {"PYTHONDONTWRITEBYTECODE": "1"}


async def _asked(order: Order | Footer, limits: Limits) -> Answer:
    """Run the process and return its answer; one that breaks a limit is killed, and its answer says so.

    Raises TimeoutError, and UnavailableError where there can be no process.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pipeline.sql.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(),
            cwd=_ROOT,
        )
    except OSError as error:
        raise UnavailableError(f"no process can be started for sql: {error.strerror}") from error
    try:
        async with asyncio.timeout(limits.seconds):
            text = await _answer(process, msgspec.json.encode(order) + b"\n")
            code = await process.wait()
    finally:
        await _end(process)
    return msgspec.json.decode(text, type=Answer) if code == 0 and text else Answer(error=_death(code, order))


async def _answer(process: asyncio.subprocess.Process, line: bytes) -> bytes:
    """Tell the process what to do, and return what it says; its stdin stays open, since it ends with that."""
    told, says = cast("asyncio.StreamWriter", process.stdin), cast("asyncio.StreamReader", process.stdout)
    told.write(line)
    with contextlib.suppress(ConnectionError):
        await told.drain()
    return await says.read()


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.kill()
    cast("asyncio.StreamWriter", process.stdin).close()
    await asyncio.shield(process.wait())


def _death(code: int, order: Order | Footer) -> str:
    if code == -signal.SIGXCPU:
        return f"it took more than {order.seconds} s of processor time"
    if code in {-signal.SIGABRT, -signal.SIGKILL}:
        return f"it needs more than {order.memory // MIB} MiB of memory"
    return f"the process that ran it ended with {code}"
