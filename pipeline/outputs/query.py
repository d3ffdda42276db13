"""The query of a batch, run over its joined table when the batch ends."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.context import Context
from pipeline.errors import BadRequestError, UnavailableError
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.export import NewWriter, upload
from pipeline.outputs.joined_table import JoinedTable
from pipeline.outputs.pieces import TableError, in_thread
from pipeline.sql.child import OUTPUTS, Answer
from pipeline.sql.fields import Fields
from pipeline.sql.rewrite import Query, check
from pipeline.store.columns import input_columns, table_schema
from pipeline.store.object_info import ObjectInfo

NAME_SHOWN = 80
MOST_NOTES = 10


@dataclass(frozen=True)
class PreparedQuery:
    """A query, and the fields that it reads, which are extracted from the results while the table is made."""

    query: Query
    fields: Fields

    def notes(self) -> tuple[str, ...]:
        """Return a note for each name that is neither a column nor a field of any result: it may be misspelt."""
        missing = [] if self.fields.too_large else self.fields.missing()
        return tuple(
            f"sql: {name[:NAME_SHOWN]!r} is no column, and no result has such a field" for name in missing[:MOST_NOTES]
        )

    async def write_answer(
        self, context: Context, table: JoinedTable, new_writer: NewWriter
    ) -> tuple[Answer, list[ObjectInfo]]:
        """Run the query over the table and write its answer to S3; an error of the query is in the answer.

        Raises as the store.
        """
        folder = table.folder / "sql"
        try:
            await in_thread(folder.mkdir)
            answer = await self._run(context, table, folder)
            names = OUTPUTS if answer.error is None else ()
            return answer, [await upload(folder / name, new_writer) for name in names]
        except TableError as error:
            return Answer(error=str(error)), []

    async def _run(self, context: Context, table: JoinedTable, folder: Path) -> Answer:
        if self.fields.too_large:
            return Answer(
                error="the fields that it reads are several times as large as the results: read fewer of them"
            )
        types = {**table.schema, **self.fields.types()}
        try:
            return await context.queries.run(self.query, table.pieces.paths, types, folder)
        except UnavailableError as error:
            return Answer(error=str(error))


async def prepare_query(context: Context, text: str, rows: BatchRows) -> PreparedQuery | Answer:
    """Check a query against the columns of a batch; returns an answer with the error of a query that does not fit.

    Raises as the store.
    """
    manifest = rows.manifest
    inputs: dict[str, pl.DataType] = {} if manifest.derived else {manifest.column: pl.String()}
    async for part in context.snapshots.all_rows(rows.batch, manifest):
        columns = input_columns(part, manifest.column, derived=manifest.derived)
        inputs = {name: series.dtype for name, series in columns.items()}
        break
    try:
        query = check(text, list(table_schema(inputs)))
    except BadRequestError as error:
        return Answer(error=str(error))
    return PreparedQuery(query, Fields(query.paths))
