"""Inputs with typed columns, written and read."""

import asyncio
import io
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.reader import Source, Table, open_table
from pipeline.spec.input_format import Format

MANY = 1_000_000


async def open_body(folder: Path, body: bytes, form: Format, most: int = MANY) -> Table:
    path = folder / "input"
    await asyncio.to_thread(path.write_bytes, body)
    return await open_table(Source(form, str(path), most))


async def read(folder: Path, body: bytes, form: Format = "parquet", most: int = MANY) -> pl.DataFrame:
    table = await open_body(folder, body, form, most)
    frames = [frame async for frame in table.frames()]
    assert {tuple(frame.schema.items()) for frame in frames} <= {tuple(table.schema.items())}
    whole = pl.concat([pl.DataFrame(schema=table.schema), *frames])
    assert whole.height == table.rows
    return whole


def parquet(frame: pl.DataFrame | pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if isinstance(frame, pl.DataFrame):
        frame.write_parquet(buffer, **options)
    else:
        pq.write_table(frame, buffer, **options)
    return buffer.getvalue()
