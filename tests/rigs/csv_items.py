"""The items of a CSV, read as the function reads them, in this process."""

import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import polars as pl

from pipeline.inputs.items import as_text, with_items
from pipeline.inputs.reader import AUTO, Rows, Source, open_source
from pipeline.spec.dialect import Dialect
from pipeline.spec.input_format import Format

MANY_ROWS = 1_000_000


def scan(
    folder: Path, body: bytes, form: Format = "csv", dialect: Dialect = AUTO, column: str = "", most: int = MANY_ROWS
) -> Rows:
    """Write a file and open it."""
    inside = Path(tempfile.mkdtemp(dir=folder))
    (inside / "input").write_bytes(body)
    return open_source(Source(form, str(inside / "input"), most, dialect, column))


async def read_items(rows: Rows, column: str, most: int = MANY_ROWS) -> AsyncIterator[pl.DataFrame]:
    """Yield frames with the cells of a column as items; a missing cell is an empty item."""

    async def frames() -> AsyncIterator[pl.DataFrame]:
        for frame in rows.frames:
            yield frame

    async for frame in with_items(frames(), partial(as_text, column=column, missing=""), most):
        yield frame
