"""Frames kept as Parquet files of a folder."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import polars as pl
from polars.exceptions import PanicException, PolarsError

from pipeline.errors import UnavailableError
from pipeline.units import MIB

PIECE_ROWS = 20_000
PIECE_BYTES = 16 * MIB
GROUP_ROWS = 50_000
GROUP_BYTES = 64 * MIB
# Parquet numbers its row groups with 16 bits.
MOST_GROUPS = 30_000
Given = TypeVarTuple("Given")
Result = TypeVar("Result")


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
