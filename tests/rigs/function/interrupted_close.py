"""Something happens between the end of a batch in Redis and its end in S3."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.rigs.function.pipeline_bench import PipelineBench

Meanwhile = Callable[[], Awaitable[object]]


def before_close(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile) -> None:
    """Run `meanwhile` once, when the next end is about to be written to S3."""
    close = pipeline.context.records.close

    async def close_after(batch: str, status: dict[str, Any]) -> None:
        monkeypatch.undo()
        await meanwhile()
        await close(batch, status)

    monkeypatch.setattr(pipeline.context.records, "close", close_after)
