"""The query of a batch, run over its joined table when the batch ends."""

from pathlib import Path
from typing import Any

import msgspec

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.outputs.export import NewWriter, upload
from pipeline.outputs.joined_table import JoinedTable
from pipeline.outputs.pieces import TableError, in_thread
from pipeline.sql.child import CELL, OUTPUTS, Answer
from pipeline.store.object_info import ObjectInfo
from pipeline.units import KIB

NAME_SHOWN = 80
MOST_NOTES = 10
SHOWN_BYTES = 16 * KIB


async def write_answer(
    context: Context, sql: str, table: JoinedTable, new_writer: NewWriter, *, csv_safe: bool = False
) -> tuple[Answer, list[ObjectInfo]]:
    """Run a query over the table and write its answer to S3; an error of the query is in the answer.

    Raises as the store.
    """
    folder = table.folder / "sql"
    try:
        await in_thread(folder.mkdir)
        answer = await _run(context, sql, table, folder, csv_safe=csv_safe)
        names = OUTPUTS if answer.error is None else ()
        return answer, [await upload(folder / name, new_writer) for name in names]
    except TableError as error:
        return Answer(error=str(error)), []


async def _run(context: Context, sql: str, table: JoinedTable, folder: Path, *, csv_safe: bool) -> Answer:
    try:
        return await context.queries.run(sql, table.pieces.paths, folder, csv_safe=csv_safe)
    except UnavailableError as error:
        return Answer(error=str(error))


def query_notes(answer: Answer | None) -> tuple[str, ...]:
    """Return a note for each name that is neither a column nor a field of any result: it may be misspelt."""
    missing = answer.missing[:MOST_NOTES] if answer else []
    return tuple(f"sql: {name[:NAME_SHOWN]!r} is no column, and no result has such a field" for name in missing)


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
    document: dict[str, Any] = msgspec.to_builtins(shown)
    return {name: document[name] for name in ("rows", "columns", "first", "error")}


def _fits(answer: Answer) -> bool:
    return len(msgspec.json.encode(answer)) <= SHOWN_BYTES
