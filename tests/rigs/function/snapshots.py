"""The input of a batch and its snapshot in S3."""

import io

import polars as pl

from tests.rigs.function.pipeline_bench import PipelineBench


async def snapshot(pipeline: PipelineBench, batch: str = "") -> pl.DataFrame:
    """All rows of a batch's snapshot."""
    keys = await pipeline.context.store.list(f"{batch or pipeline.batch}/input/0/")
    return pl.concat([pl.read_parquet(io.BytesIO(await pipeline.context.store.get(key))) for key in keys])


async def put(pipeline: PipelineBench, name: str, body: bytes) -> str:
    key = f"{pipeline.name}.in/{name}"
    await pipeline.context.store.put(key, body)
    return key
