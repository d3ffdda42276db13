"""The joined table of a batch: one row an item, in input order, with the input's columns and the item's outcome.

It is kept as Parquet pieces in a folder of this machine, so that memory holds a piece at a time, however large it is.
"""

import asyncio
import math
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import polars as pl
from polars.exceptions import PanicException, PolarsError

from pipeline.errors import UnavailableError
from pipeline.outputs.tally import Tally
from pipeline.request import MIB, Outcome
from pipeline.store.bucket import Store
from pipeline.store.columns import input_columns, outcome_columns, table_names, table_schema
from pipeline.store.cutter import INDEX
from pipeline.store.segments import Segment, merge
from pipeline.store.snapshot import Manifest, Snapshots

PIECE_ROWS = 20_000
PIECE_BYTES = 16 * MIB
GROUP_ROWS = 50_000
GROUP_BYTES = 64 * MIB
# Parquet numbers its row groups with 16 bits.
MOST_GROUPS = 30_000

Given = TypeVarTuple("Given")
Result = TypeVar("Result")
Extract = Callable[[Sequence[bytes | None]], dict[str, pl.Series]]


class TableError(UnavailableError):
    """The tables cannot be made on this machine, as when its disk is full."""


@dataclass
class Pieces:
    """Frames of one schema, kept in order as files of a folder; `sizes` are rows and bytes in memory of each."""

    folder: Path
    sizes: list[tuple[int, int]] = field(default_factory=list)
    _waiting: list[pl.DataFrame] = field(default_factory=list)
    _rows: int = 0
    _bytes: int = 0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(rows for rows, _ in self.sizes)

    @property
    def paths(self) -> list[Path]:
        """The files, in order."""
        return [self._path(number) for number in range(len(self.sizes))]

    def scan(self) -> pl.LazyFrame:
        """Scan all rows, in order; to be called once `close` was."""
        return pl.scan_parquet(self.paths, glob=False)

    def sink(self, path: Path, columns: int) -> None:
        """Write the first columns of all rows as one Parquet file; the same rows give the same bytes."""
        self.scan().select(pl.nth(range(columns))).sink_parquet(path, row_group_size=self.group_rows())

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        self._waiting.append(frame)
        self._rows += frame.height
        self._bytes += int(frame.estimated_size())
        if self._rows >= PIECE_ROWS or self._bytes >= PIECE_BYTES:
            self._flush()

    def close(self, nothing: pl.DataFrame) -> None:
        """Write what is left, or `nothing` where there are no rows."""
        if not self._waiting and not self.sizes:
            self._waiting.append(nothing)
        if self._waiting:
            self._flush()

    def group_rows(self) -> int:
        """Return the rows of a row group with which no group of a file of all rows is much larger than GROUP_BYTES."""
        least = -(-self.rows // MOST_GROUPS)
        rows = GROUP_ROWS
        while rows // 2 >= max(1, least) and self._largest_group(rows) > GROUP_BYTES:
            rows //= 2
        return rows

    def _largest_group(self, group: int) -> float:
        """Return the bytes of the largest row group of so many rows, each row counted as large as its piece's mean."""
        largest = current = 0.0
        room = group
        for rows, size in self.sizes:
            left = rows
            while left:
                taken = min(left, room)
                current += size * taken / rows
                largest = max(largest, current)
                left -= taken
                room -= taken
                if not room:
                    room, current = group, 0.0
        return largest

    def _flush(self) -> None:
        frame = pl.concat(self._waiting)
        frame.write_parquet(self._path(len(self.sizes)), compression="lz4", statistics=False)
        self.sizes.append((frame.height, self._bytes))
        self._waiting, self._rows, self._bytes = [], 0, 0

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"


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


async def in_folder(work: Callable[[*Given], Result], *given: *Given) -> Result:
    """Do in a thread what works with the table or its files; raises TableError for what goes wrong with them."""

    def guarded() -> Result:
        try:
            return work(*given)
        except (OSError, PolarsError, PanicException) as error:
            reason = getattr(error, "strerror", None) or str(error).strip().split("\n", 1)[0]
            raise TableError(f"the tables cannot be made under {tempfile.gettempdir()}: {reason}") from error

    working = asyncio.create_task(asyncio.to_thread(guarded))
    try:
        return await asyncio.shield(working)
    finally:
        # Nobody removes the folder while a thread still writes into it.
        await asyncio.wait([working])


@asynccontextmanager
async def temporary_folder() -> AsyncIterator[Path]:
    """Make a folder for the block, and remove it in a thread: it may hold many files. Raises TableError."""
    folder = Path(await in_folder(tempfile.mkdtemp, None, "pipeline-"))
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


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
