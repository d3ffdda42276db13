"""The query of a batch: checked against its input before anything runs, and asked of the joined table when it ends."""

from collections.abc import Mapping

import polars as pl

from pipeline.batchspec import BatchSpec
from pipeline.columns import table_schema
from pipeline.context import Context
from pipeline.sql.check import check


async def check_query(context: Context, spec: BatchSpec, inputs: Mapping[str, pl.DataType]) -> None:
    """Raise BadRequestError unless the query can be run over results with these columns of the input."""
    if spec.sql is not None:
        columns = table_schema(inputs)
        await context.queries.plan(check(spec.sql, list(columns)), columns)
