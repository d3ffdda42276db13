"""The joined table of a batch: one row an item, in input order, with the input's columns and the item's outcome.

It is kept as Parquet pieces in a folder of this machine, so that memory holds a piece at a time, however large it is.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.answers.outcome import Outcome
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.pieces import PIECE_ROWS, Pieces, in_thread, temporary_folder
from pipeline.outputs.tally import Tally
from pipeline.store.columns import input_columns, outcome_columns, table_names, table_schema
from pipeline.store.snapshot import Manifest


@dataclass(frozen=True)
class JoinedTable:
    """The table of a batch, in a folder that exists as long as the context.

    `schema` has its columns in order. `inputs` are the names of
    the input's own columns, which come first, under the input's own names; `json_columns` are those with JSON text.
    """

    schema: dict[str, pl.DataType]
    inputs: list[str]
    json_columns: frozenset[str]
    folder: Path
    pieces: Pieces
    tally: Tally

    def scan(self) -> pl.LazyFrame:
        """Scan all rows in input order."""
        return self.pieces.scan()

    def input_rows(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the input's own columns of some rows of the table, under the input's own names."""
        return pl.DataFrame(dict(zip(self.inputs, rows.get_columns(), strict=False)))

    @property
    def json_cells(self) -> frozenset[str]:
        """The columns of the table whose cells are JSON text: the result, and some of the input's."""
        names = zip(self.inputs, self.schema, strict=False)
        return frozenset({"result", *(name for input_name, name in names if input_name in self.json_columns)})


@asynccontextmanager
async def joined_table(rows: BatchRows) -> AsyncIterator[JoinedTable]:
    """Join the rows of a batch and their outcomes. Raises as the store, and TableError."""
    manifest = rows.manifest
    async with temporary_folder() as folder:
        pieces, tally = Pieces(folder), Tally()
        empty, inputs = _empty_table(manifest)
        async with aclosing(rows.with_outcomes(PIECE_ROWS)) as parts:
            async for part, outcomes in parts:
                inputs = await in_thread(_add, pieces, tally, manifest, part, outcomes)
        await in_thread(pieces.close, empty)
        yield JoinedTable(table_schema(inputs), list(inputs), frozenset(manifest.json_columns), folder, pieces, tally)


def _add(
    pieces: Pieces,
    tally: Tally,
    manifest: Manifest,
    part: pl.DataFrame,
    outcomes: Sequence[Outcome | None],
) -> dict[str, pl.DataType]:
    """Add rows and their outcomes to the pieces and the tally; returns the types of the input's own columns."""
    tally.add(outcomes)
    inputs = input_columns(part, manifest.column, derived=manifest.derived)
    named = dict(zip(table_names(list(inputs)), inputs.values(), strict=True))
    pieces.add(pl.DataFrame(named | outcome_columns(outcomes)))
    return {name: series.dtype for name, series in inputs.items()}


def _empty_table(manifest: Manifest) -> tuple[pl.DataFrame, dict[str, pl.DataType]]:
    """Return the table, and the input's own columns, of an input without rows: only the item column is known."""
    inputs: dict[str, pl.DataType] = {} if manifest.derived else {manifest.column: pl.String()}
    return pl.DataFrame(schema=table_schema(inputs)), inputs
