"""The query of a batch: checked against its input before anything runs, and asked of the joined table when it ends."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.context import Context
from pipeline.errors import BadRequestError, UnavailableError
from pipeline.outputs.joined_table import JoinedTable
from pipeline.sql.child import Answer
from pipeline.sql.fields import Fields
from pipeline.sql.rewrite import Query, check
from pipeline.store.columns import input_columns, table_schema
from pipeline.store.snapshot import Manifest

NAME_SHOWN = 80
MOST_NOTES = 10


@dataclass(frozen=True)
class Question:
    """A query, and the fields that it reads, which are taken out of the results while the table is made."""

    query: Query
    fields: Fields

    def notes(self) -> tuple[str, ...]:
        """Say which of its names are neither a column nor a field of any result: they may be misspelt."""
        missing = [] if self.fields.too_large else self.fields.missing()
        return tuple(
            f"sql: {name[:NAME_SHOWN]!r} is no column, and no result has such a field" for name in missing[:MOST_NOTES]
        )

    async def ask(self, context: Context, table: JoinedTable, into: Path) -> Answer:
        """Ask the table, and write the answer to a folder; whatever goes wrong is what the answer says."""
        if self.fields.too_large:
            return Answer(
                error="the fields that it reads are several times as large as the results: read fewer of them"
            )
        types = {**table.schema, **self.fields.types()}
        try:
            return await context.queries.run(self.query, table.pieces.paths, types, into)
        except UnavailableError as error:
            return Answer(error=str(error))


async def prepare_question(context: Context, batch: str, text: str, manifest: Manifest) -> Question | Answer:
    """Make a batch's query ready for its results, or say why that cannot be; `manifest` is generation 0's."""
    inputs: dict[str, pl.DataType] = {} if manifest.derived else {manifest.column: pl.String()}
    async for part in context.snapshots.all_rows(batch, manifest):
        columns = input_columns(part, manifest.column, derived=manifest.derived)
        inputs = {name: series.dtype for name, series in columns.items()}
        break
    try:
        query = check(text, list(table_schema(inputs)))
    except BadRequestError as error:
        return Answer(error=str(error))
    return Question(query, Fields(query.paths))
