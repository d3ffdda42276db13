"""Write the joined table to S3 in its formats, and the rows that failed or never ran, to be submitted again."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.concurrency import task_group
from pipeline.outputs.joined_table import JoinedTable
from pipeline.outputs.pieces import Pieces, in_thread
from pipeline.store.bucket import PART_SIZE
from pipeline.store.keys import FAILURES_CSV, FAILURES_NDJSON, FAILURES_PARQUET, results_name
from pipeline.store.object_info import ObjectInfo
from pipeline.store.text_formats import to_csv, to_lines_again, to_ndjson
from pipeline.store.writer import Writer
from pipeline.units import MIB

RESULTS_PARQUET, RESULTS_CSV, RESULTS_NDJSON = map(results_name, ("parquet", "csv", "ndjson"))

NewWriter = Callable[[str], Writer]


async def write_tables(
    table: JoinedTable,
    new_writer: NewWriter,
    formats: Sequence[str],
    *,
    failures_as_json: bool = False,
    csv_safe: bool = False,
) -> list[ObjectInfo]:
    """Write the table in these formats, and the input's own columns of the rows that failed or never ran.

    Those rows are written as CSV, and once more with their types, as lines of JSON or as Parquet. With `csv_safe` the
    table as CSV has no formulas of a spreadsheet. `new_writer` makes the writer of an object by its name. Returns the
    objects. Raises as the store, and TableError.
    """
    folder = table.folder / "failures"
    await in_thread(folder.mkdir)
    export = _Export(table, new_writer, formats, failures_as_json, csv_safe, Pieces(folder))
    async with task_group() as group:
        texts = group.create_task(_write_texts(export))
        whole = (table.pieces, len(table.schema))
        parquet = group.create_task(_write_parquet(export, RESULTS_PARQUET, *whole)) if "parquet" in formats else None
    return [*texts.result(), *([parquet.result()] if parquet else [])]


@dataclass(frozen=True)
class _Export:
    """One call of `write_tables`; `failures` collects the failed rows for Parquet."""

    table: JoinedTable
    new_writer: NewWriter
    formats: Sequence[str]
    failures_as_json: bool
    csv_safe: bool
    failures: Pieces

    def texts(self, number: int) -> dict[str, bytes]:
        """Return the texts of one piece, by the names of their objects, and collect its failed rows."""
        path = self.table.pieces.paths[number]
        rows = pl.read_parquet(path, glob=False).select(pl.nth(range(len(self.table.schema))))
        failures = self.table.input_rows(rows.filter(rows.get_column("status") != "succeeded"))
        texts = {FAILURES_CSV: to_lines_again(failures, header=not number)}
        if self.failures_as_json:
            texts[FAILURES_NDJSON] = to_ndjson(failures, self.table.json_columns) if failures.height else b""
        elif failures.height:
            self.failures.add(failures)
        if "csv" in self.formats:
            texts[RESULTS_CSV] = to_csv(rows, header=not number, safe=self.csv_safe)
        if "ndjson" in self.formats:
            texts[RESULTS_NDJSON] = to_ndjson(rows, self.table.json_cells)
        return texts


async def _write_texts(export: _Export) -> list[ObjectInfo]:
    """Write the texts piece by piece, and then the Parquet of the failed rows."""
    writers: dict[str, Writer] = {}
    async with AsyncExitStack() as stack:
        for number in range(len(export.table.pieces.sizes)):
            for name, text in (await in_thread(export.texts, number)).items():
                if name not in writers:
                    writers[name] = await stack.enter_async_context(export.new_writer(name))
                # The event loop signs a part, so parts are small.
                for start in range(0, len(text), MIB):
                    await writers[name].write(text[start : start + MIB])
        async with task_group() as group:
            closing = [group.create_task(writer.close()) for writer in writers.values()]
            if not export.failures_as_json:
                closing.append(group.create_task(_write_failures(export)))
    return [task.result() for task in closing]


async def _write_failures(export: _Export) -> ObjectInfo:
    empty = export.table.input_rows(pl.DataFrame(schema=export.table.schema))
    await in_thread(export.failures.close, empty)
    return await _write_parquet(export, FAILURES_PARQUET, export.failures, len(export.table.inputs))


async def _write_parquet(export: _Export, name: str, pieces: Pieces, columns: int) -> ObjectInfo:
    """Write pieces as one Parquet file on this machine, and upload it."""
    path = export.table.folder / name
    await in_thread(pieces.sink, path, columns)
    return await upload(path, export.new_writer)


async def upload(path: Path, new_writer: NewWriter) -> ObjectInfo:
    """Write a file of this machine to S3, under its name; raises as the store, and TableError."""
    async with new_writer(path.name) as writer:
        with path.open("rb") as file:
            while part := await in_thread(file.read, PART_SIZE):
                await writer.write(part)
        return await writer.close()
