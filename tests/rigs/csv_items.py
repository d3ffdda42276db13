"""The items of a CSV, read as the function reads them."""

from collections.abc import AsyncIterator
from functools import partial

import polars as pl

from pipeline.inputs.csv_rows import read_lines
from pipeline.inputs.items import as_text, with_items


def read_items(rows: pl.LazyFrame, column: str, max_rows: int) -> AsyncIterator[pl.DataFrame]:
    """Yield frames with the cells of a column as items; a missing cell is an empty item."""
    return with_items(read_lines(rows), partial(as_text, column=column, missing=""), max_rows)
