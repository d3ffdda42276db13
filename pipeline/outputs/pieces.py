"""Frames as Parquet files of a temporary folder, and the threads that work with its files."""

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
Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class TableError(UnavailableError):
    """The tables cannot be made on this machine, as when its disk is full."""


@dataclass
class Pieces:
    """Frames of one schema, in order, as files of a folder; `sizes` are the rows and the bytes in memory of each."""

    folder: Path
    sizes: list[tuple[int, int]] = field(default_factory=list)
    _waiting: list[pl.DataFrame] = field(default_factory=list)
    _rows: int = 0
    _bytes: int = 0

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(rows for rows, _ in self.sizes)

    @property
    def paths(self) -> list[Path]:
        """The files, in order."""
        return [self._path(number) for number in range(len(self.sizes))]

    def scan(self) -> pl.LazyFrame:
        """Scan all rows, in order, after `close`."""
        return pl.scan_parquet(self.paths, glob=False)

    def sink(self, path: Path, columns: int) -> None:
        """Write the first columns of all rows as one Parquet file; the same rows give the same bytes."""
        self.scan().select(pl.nth(range(columns))).sink_parquet(path, row_group_size=self.group_rows())

    def add(self, frame: pl.DataFrame) -> None:
        """Add the next rows."""
        self._waiting.append(frame)
        self._rows += frame.height
        self._bytes += int(frame.estimated_size())
        if self._rows >= PIECE_ROWS or self._bytes >= PIECE_BYTES:
            self._flush()

    def close(self, empty: pl.DataFrame) -> None:
        """Write the rows that are not written yet, or `empty` when there are no rows at all."""
        if not self._waiting and not self.sizes:
            self._waiting.append(empty)
        if self._waiting:
            self._flush()

    def group_rows(self) -> int:
        """Return the number of rows a row group, so that few groups of the whole file exceed GROUP_BYTES."""
        least = -(-self.rows // MOST_GROUPS)
        rows = GROUP_ROWS
        while rows // 2 >= max(1, least) and self._largest_group(rows) > GROUP_BYTES:
            rows //= 2
        return rows

    def _largest_group(self, group: int) -> float:
        """Return the bytes of the largest row group of `group` rows, with the mean size of its piece for each row."""
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


async def in_thread(work: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Call a function that works with frames or files in a thread; raises TableError for errors of polars and files."""

    def guarded() -> Result:
        try:
            return work(*arguments)
        except (OSError, PolarsError, PanicException) as error:
            reason = getattr(error, "strerror", None) or str(error).strip().split("\n", 1)[0]
            raise TableError(f"the tables cannot be made under {tempfile.gettempdir()}: {reason}") from error

    task = asyncio.create_task(asyncio.to_thread(guarded))
    try:
        return await asyncio.shield(task)
    finally:
        # The folder must not be removed while the thread writes into it.
        await asyncio.wait([task])


@asynccontextmanager
async def temporary_folder() -> AsyncIterator[Path]:
    """Make a folder, and remove it after the block, in a thread: it may hold many files. Raises TableError."""
    folder = Path(await in_thread(tempfile.mkdtemp, None, "pipeline-"))
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
