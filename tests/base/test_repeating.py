"""What is repeated ends with its block, also where a cancellation is lost."""

import asyncio
import logging

import pytest

from pipeline.concurrency import repeated
from pipeline.errors import UnavailableError


async def test_it_ends_though_its_first_cancellation_is_lost() -> None:
    begun, calls = asyncio.Event(), []

    async def action() -> None:
        calls.append(1)
        begun.set()
        if len(calls) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

    async with repeated(action, 0):
        await begun.wait()
    before = len(calls)
    assert len(asyncio.all_tasks()) == 1
    assert len(calls) == before


async def test_one_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    again, calls = asyncio.Event(), []

    async def action() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise UnavailableError("Redis is away")
        again.set()

    with caplog.at_level(logging.WARNING):
        async with repeated(action, 0):
            await again.wait()
    assert {(record.message, record.error) for record in caplog.records} == {  # type: ignore[attr-defined]
        ("a lease could not be renewed", "Redis is away")
    }
