"""Ended batches and their outputs."""

import csv
import io
from typing import Any

from pipeline.store.keys import CONTENT_TYPES
from tests.rigs.function.pipeline_bench import CSV, PipelineBench

ROWS = 'id,url,note\n1,a,"x, y"\n2,no b,\n3,c,""\n4,no d,"say ""d"""\n'


async def ended(pipeline: PipelineBench, rows: str = ROWS, batch: str = "", **options: str) -> dict[str, Any]:
    response = await pipeline.submit(rows, CSV, {"column": "url", **options}, batch)
    assert response.status == 201, response.body
    await pipeline.deliver_all()
    return await pipeline.status(batch)


async def output(pipeline: PipelineBench, name: str, batch: str = "") -> bytes:
    return await pipeline.context.store.get(f"{batch or pipeline.batch}/{name}")


async def outputs(pipeline: PipelineBench, generation: str = "") -> list[str]:
    """The names of the outputs in the folder of the batch, or of one generation."""
    sizes = await pipeline.context.store.children(f"{pipeline.batch}/{generation}")
    return [name for name in CONTENT_TYPES if f"{pipeline.batch}/{generation}{name}" in sizes]


def cells(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode())))
