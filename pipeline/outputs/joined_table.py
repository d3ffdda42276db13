"""The joined table of a batch: one row an item, in input order, with the input's columns and the item's outcome.

It is kept as Parquet pieces in a folder of this machine, so that memory holds a piece at a time, however large it is.
"""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.answers.outcome import Outcome
from pipeline.outputs.pieces import PIECE_ROWS, Pieces, in_folder, temporary_folder
from pipeline.outputs.tally import Tally
from pipeline.store.bucket import Store
from pipeline.store.columns import INDEX, input_columns, outcome_columns, table_names, table_schema
from pipeline.store.keys import Segment
from pipeline.store.segments import merge
from pipeline.store.snapshot import Manifest, Snapshots

Extract = Callable[[Sequence[bytes | None]], dict[str, pl.Series]]


@dataclass(frozen=True)
class JoinedTable:
    """The table of a batch, in a folder that is there as long as the context.

    `schema` are its columns in order; what `extract` made of the results stands after them in the pieces, and is no
    part of the table. `inputs` are the names of the input's own columns, which come first, as the input has them;
    `json_columns` are those of them whose cells are JSON text.
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

    def inputs_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return some rows of the table as the input has them."""
        return pl.DataFrame(dict(zip(self.inputs, rows.get_columns(), strict=False)))

    @property
    def json_cells(self) -> frozenset[str]:
        """The columns of the table whose cells are JSON text: the result, and those of the input."""
        named = zip(self.inputs, self.schema, strict=False)
        return frozenset({"result", *(name for given, name in named if given in self.json_columns)})


@asynccontextmanager
async def joined_table(
    store: Store,
    snapshots: Snapshots,
    batch: str,
    manifest: Manifest,
    segments: Sequence[Segment],
    extract: Extract | None = None,
) -> AsyncIterator[JoinedTable]:
    """Join the rows of a batch and its outcomes; `manifest` is generation 0's, `segments` are those of all.

    `extract` is given the results of some rows, as JSON, None where there is none, and returns further columns. Raises
    as the store, and TableError.
    """
    async with temporary_folder() as folder:
        pieces, tally = Pieces(folder), Tally()
        nothing, inputs = _nothing(manifest, extract)
        async with aclosing(merge(store, segments)) as merged:
            async for rows, outcomes in _paired(snapshots, batch, manifest, merged):
                inputs = await in_folder(_join, pieces, tally, manifest, rows, outcomes, extract)
        await in_folder(pieces.close, nothing)
        yield JoinedTable(table_schema(inputs), list(inputs), frozenset(manifest.json_columns), folder, pieces, tally)


async def _paired(
    snapshots: Snapshots, batch: str, manifest: Manifest, merged: AsyncIterator[dict[int, Outcome]]
) -> AsyncIterator[tuple[pl.DataFrame, list[Outcome | None]]]:
    """Pair the rows of the snapshot with their outcomes, as many at a time as there are outcomes; both are in order."""
    known: dict[int, Outcome] = {}
    last: float = -1
    async for part in snapshots.all_rows(batch, manifest):
        start = 0
        while start < part.height:
            index = int(part.get_column(INDEX)[start])
            while last < index:
                outcomes = await anext(merged, None)
                known |= outcomes or {}
                last = next(reversed(outcomes)) if outcomes else math.inf
            count = int(min(part.height - start, PIECE_ROWS, last - index + 1))
            yield part.slice(start, count), [known.pop(index + place, None) for place in range(count)]
            start += count


def _join(
    pieces: Pieces,
    tally: Tally,
    manifest: Manifest,
    rows: pl.DataFrame,
    outcomes: Sequence[Outcome | None],
    extract: Extract | None,
) -> dict[str, pl.DataType]:
    """Add rows and their outcomes to the pieces; returns the input's own columns."""
    tally.add(outcomes)
    inputs = input_columns(rows, manifest.column, derived=manifest.derived)
    named = dict(zip(table_names(list(inputs)), inputs.values(), strict=True))
    frame = pl.DataFrame(named | outcome_columns(outcomes))
    if extract is not None:
        results = [bytes(each.result) if each and not each.ref else None for each in outcomes]
        frame = frame.hstack(list(extract(results).values()))
    pieces.add(frame)
    return {name: series.dtype for name, series in inputs.items()}


def _nothing(manifest: Manifest, extract: Extract | None) -> tuple[pl.DataFrame, dict[str, pl.DataType]]:
    """Return the table, and the columns, of an input without rows: only that of the items is known of it."""
    inputs: dict[str, pl.DataType] = {} if manifest.derived else {manifest.column: pl.String()}
    further = list(extract([]).values()) if extract else []
    return pl.DataFrame(schema=table_schema(inputs)).hstack(further), inputs
