"""Cut rows into tasks, by count and bytes, and tasks into Parquet parts. Pure: frames in, frames out."""

from dataclasses import dataclass, field

import polars as pl

from pipeline.store.columns import INDEX, TASK, nameless
from pipeline.units import MIB

TASK_BYTES = 8 * MIB
PART_BYTES = 8 * MIB
FIXED_BYTES = 8


@dataclass
class Cutter:
    """Takes frames of rows in order and gives parts: frames with a task column, each holding whole tasks.

    A task has at most `chunk` rows; one whose rows reach `task_bytes` is cut short, so that no task outgrows memory.
    """

    chunk: int
    task_bytes: int = TASK_BYTES
    part_bytes: int = PART_BYTES
    tasks: int = 0
    items: int = 0
    _block_rows: int = 0
    _block_bytes: int = 0
    _sub: int = 0
    _waiting: list[pl.DataFrame] = field(default_factory=list)
    _waiting_bytes: int = 0

    def feed(self, frame: pl.DataFrame) -> list[pl.DataFrame]:
        """Take the next rows; returns the parts that are whole by now."""
        if frame.is_empty():
            return []
        self._waiting.append(self._assign(frame))
        self._waiting_bytes += int(frame.estimated_size())
        self.items += frame.height
        if self._waiting_bytes < self.part_bytes:
            return []
        rows = pl.concat(self._waiting)
        last = rows.get_column(TASK).search_sorted(self.tasks - 1, side="left")
        if last == 0:
            return []
        self._waiting = [rows.slice(last)]
        self._waiting_bytes = int(self._waiting[0].estimated_size())
        return self._split(rows.head(last))

    def rest(self) -> list[pl.DataFrame]:
        """Return what is left as parts."""
        return self._split(pl.concat(self._waiting)) if self._waiting else []

    def _assign(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Number the tasks. A block is `chunk` rows; inside it a task ends where another `task_bytes` are full."""
        marked = (
            pl.DataFrame({"size": row_sizes(frame)})
            .with_row_index("row")
            .select(
                "size",
                block=(pl.col("row").cast(pl.Int64) + self._block_rows) // self.chunk,
                before=pl.col("size").cum_sum() - pl.col("size"),
            )
            .with_columns(
                within=pl.col("before")
                - pl.col("before").first().over("block")
                + pl.when(pl.col("block") == 0).then(self._block_bytes).otherwise(0)
            )
            .with_columns(sub=pl.col("within") // self.task_bytes)
            .with_columns(
                new=(pl.col("block") != pl.col("block").shift(1, fill_value=-1 if self._block_rows == 0 else 0))
                | (pl.col("sub") != pl.col("sub").shift(1, fill_value=self._sub))
            )
        )
        tasks = marked.get_column("new").cast(pl.Int64).cum_sum() + (self.tasks - 1)
        end = marked.row(-1, named=True)
        self.tasks = int(tasks[-1]) + 1
        self._block_rows = (self._block_rows + frame.height) % self.chunk
        self._block_bytes = end["within"] + end["size"] if self._block_rows else 0
        self._sub = end["sub"] if self._block_rows else 0
        return frame.with_columns(tasks.alias(TASK))

    def _split(self, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """Split at task boundaries, so that a part holds about `part_bytes` of rows, or one task."""
        starts = (
            rows.select(TASK)
            .with_columns((row_sizes(rows).cum_sum() // self.part_bytes).alias("pipeline.part"))
            .group_by(TASK, maintain_order=True)
            .agg(pl.col("pipeline.part").first(), pl.len().alias("pipeline.rows"))
            .with_columns((pl.col("pipeline.rows").cum_sum() - pl.col("pipeline.rows")).alias("pipeline.start"))
            .group_by("pipeline.part", maintain_order=True)
            .agg(pl.col("pipeline.start").first())
            .get_column("pipeline.start")
            .to_list()
        )
        ends = [*starts[1:], rows.height]
        return [rows.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]


def row_sizes(frame: pl.DataFrame) -> pl.Series:
    """Return the bytes of each row: all its columns are kept. The pipeline's own numbers count for nothing.

    A cell takes the bytes of its text, what is nested takes what is in it together, and all else 8 bytes.
    """
    text = pl.sum_horizontal(pl.lit(0, pl.Int64), pl.col(pl.String).str.len_bytes().cast(pl.Int64))
    others = [each for each in frame.iter_columns() if each.dtype != pl.String and each.name not in {INDEX, TASK}]
    varying = [each for each in others if each.dtype == pl.Binary or each.dtype.is_nested()]
    sizes = frame.select(text).to_series() + FIXED_BYTES * (len(others) - len(varying))
    return sum(map(cell_sizes, varying), sizes)


def cell_sizes(column: pl.Series) -> pl.Series:
    """Return about how many bytes each cell of a column takes: those of text and bytes, and 8 of what has a fixed size.

    What is nested takes what is in it together.
    """
    column = nameless(column)
    fixed = pl.Series([FIXED_BYTES], dtype=pl.Int64).new_from_index(0, len(column))
    match column.dtype:
        case pl.String():
            sizes = column.str.len_bytes().cast(pl.Int64).fill_null(0)
        case pl.Binary():
            sizes = column.bin.size().cast(pl.Int64).fill_null(0)
        case pl.Struct():
            sizes = sum((cell_sizes(field) for field in column.struct.unnest().iter_columns()), fixed)
        case pl.Array():
            sizes = cell_sizes(column.arr.to_list())
        case pl.List():
            within = cell_sizes(column.explode(empty_as_null=False, keep_nulls=False))
            ends = column.list.len().fill_null(0).cast(pl.Int64).cum_sum()
            starts = ends.shift(1, fill_value=0)
            sums = pl.concat([pl.Series([0], dtype=pl.Int64), within.cum_sum()])
            sizes = sums.gather(ends) - sums.gather(starts) + fixed
        case _:
            sizes = fixed
    return sizes
