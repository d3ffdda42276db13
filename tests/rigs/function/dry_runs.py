"""Dry runs, and a check that they leave no trace."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import PipelineError
from tests.rigs.function.pipeline_bench import CSV, Headers, document
from tests.rigs.function.pipeline_bench import PipelineBench as Pipeline

ROWS = b"id,url\n1,a\n2,b\n3,c\n"
DRY_RUN = {"dry_run": "true"}
NONE: Headers = {}


async def traces(pipeline: Pipeline) -> tuple[Sequence[Any], ...]:
    """All that a submission could leave: objects, keys in Redis with their values, messages."""
    objects = await pipeline.context.store.list_aged("")
    keys = sorted([key async for key in pipeline.redis.scan_iter(count=1000)])
    values = [(key, await pipeline.redis.dump(key)) for key in keys]
    return objects, values, [len(queue) for queue in pipeline.gateway.queues.values()]


@asynccontextmanager
async def no_trace(pipeline: Pipeline) -> AsyncIterator[None]:
    """Check that nothing changes inside, and that no model function is called."""
    called: list[bytes] = []

    async def model(_request: web.Request, body: bytes) -> web.Response:
        called.append(body)
        return web.Response(text="called")

    pipeline.serve(model)
    before = await traces(pipeline)
    yield
    assert await traces(pipeline) == before
    assert called == []


async def dry_run(pipeline: Pipeline, body: bytes, query: Headers = NONE, headers: Headers = CSV) -> dict[str, Any]:
    async with no_trace(pipeline):
        response = await pipeline.submit(body, headers, {**query, **DRY_RUN})
    assert response.status == 200
    return document(response)


async def refusal(
    pipeline: Pipeline, body: bytes, headers: Headers, query: Headers
) -> tuple[type[PipelineError], str, tuple[str, ...]]:
    with pytest.raises(PipelineError) as caught:
        await pipeline.submit(body, headers, query)
    return type(caught.value), str(caught.value), caught.value.problems
