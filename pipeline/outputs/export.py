"""Write the joined table to S3 in its formats, and the rows that are to be submitted again."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.concurrency import together
from pipeline.outputs.joined_table import JoinedTable
from pipeline.outputs.pieces import Pieces, in_folder
from pipeline.store.bucket import PART_SIZE
from pipeline.store.errors import ObjectInfo
from pipeline.store.keys import FAILURES_CSV, FAILURES_NDJSON, FAILURES_PARQUET, results_name
from pipeline.store.text_formats import to_csv, to_lines_again, to_ndjson
from pipeline.store.writer import Writer
from pipeline.units import MIB

RESULTS_PARQUET, RESULTS_CSV, RESULTS_NDJSON = map(results_name, ("parquet", "csv", "ndjson"))

NewWriter = Callable[[str], Writer]


@dataclass(frozen=True)
class _Export:
    """What is to be written of a table: `formats` of all rows, and the input's own columns of those to run again.

    `as_lines`: with their types those are lines of JSON, else Parquet, for which they are kept in `again`.
    """

    table: JoinedTable
    new_writer: NewWriter
    formats: Sequence[str]
    as_lines: bool
    again: Pieces

    def texts(self, number: int) -> dict[str, bytes]:
        """Make the texts of one piece, by the names of the objects they go to, and keep its rows that run again."""
        path = self.table.pieces.paths[number]
        rows = pl.read_parquet(path, glob=False).select(pl.nth(range(len(self.table.schema))))
        again = self.table.inputs_of(rows.filter(rows.get_column("status") != "succeeded"))
        texts = {FAILURES_CSV: to_lines_again(again, header=not number)}
        if self.as_lines:
            texts[FAILURES_NDJSON] = to_ndjson(again, self.table.json_columns) if again.height else b""
        elif again.height:
            self.again.add(again)
        if "csv" in self.formats:
            texts[RESULTS_CSV] = to_csv(rows, header=not number)
        if "ndjson" in self.formats:
            texts[RESULTS_NDJSON] = to_ndjson(rows, self.table.json_cells)
        return texts


async def write_tables(
    table: JoinedTable, new_writer: NewWriter, formats: Sequence[str], *, as_lines: bool = False
) -> list[ObjectInfo]:
    """Write the table in these formats, and the rows that failed or never ran; returns the objects.

    Those are written as CSV, and with their types as Parquet, or `as_lines` of JSON. `new_writer` makes the writer of
    an object by its name. Raises as the store, and TableError.
    """
    folder = table.folder / "again"
    await in_folder(folder.mkdir)
    export = _Export(table, new_writer, formats, as_lines, Pieces(folder))
    async with together() as group:
        texts = group.create_task(_write_texts(export))
        whole = (table.pieces, len(table.schema))
        wholes = [group.create_task(_write_parquet(export, RESULTS_PARQUET, *whole))] if "parquet" in formats else []
    return [*texts.result(), *(task.result() for task in wholes)]


async def _write_texts(export: _Export) -> list[ObjectInfo]:
    """Write what is made piece by piece, and then the Parquet of the rows that run again."""
    writers: dict[str, Writer] = {}
    async with AsyncExitStack() as stack:
        for number in range(len(export.table.pieces.sizes)):
            for name, text in (await in_folder(export.texts, number)).items():
                if name not in writers:
                    writers[name] = await stack.enter_async_context(export.new_writer(name))
                # A part is signed in the loop, so it is to be no larger than need be.
                for start in range(0, len(text), MIB):
                    await writers[name].write(text[start : start + MIB])
        async with together() as group:
            closing = [group.create_task(writer.close()) for writer in writers.values()]
            if not export.as_lines:
                closing.append(group.create_task(_write_again(export)))
    return [task.result() for task in closing]


async def _write_again(export: _Export) -> ObjectInfo:
    nothing = export.table.inputs_of(pl.DataFrame(schema=export.table.schema))
    await in_folder(export.again.close, nothing)
    return await _write_parquet(export, FAILURES_PARQUET, export.again, len(export.table.inputs))


async def _write_parquet(export: _Export, name: str, pieces: Pieces, columns: int) -> ObjectInfo:
    """Write pieces as one Parquet file here, and then to S3."""
    path = export.table.folder / name
    await in_folder(pieces.sink, path, columns)
    return await upload(path, export.new_writer)


async def upload(path: Path, new_writer: NewWriter) -> ObjectInfo:
    """Write a file of this machine to S3, under its name. Raises as the store, and TableError."""
    async with new_writer(path.name) as writer:
        with path.open("rb") as file:
            while part := await in_folder(file.read, PART_SIZE):
                await writer.write(part)
        return await writer.close()
