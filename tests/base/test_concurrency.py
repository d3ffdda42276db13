"""Concurrency: background work, and actions that are repeated while a block runs."""

import asyncio
import logging

import pytest

from pipeline.concurrency import BackgroundTasks, renew_every
from pipeline.errors import UnavailableError


async def test_background_work_is_awaited_at_the_end() -> None:
    done: list[str] = []
    go = asyncio.Event()

    async def first(background: BackgroundTasks) -> None:
        await go.wait()
        background.start(second())
        done.append("first")

    async def second() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        done.append("second")

    async with BackgroundTasks.opened() as background:
        background.start(first(background))
        assert done == []
        go.set()
    assert done == ["first", "second"]


async def test_failed_background_work_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def unavailable() -> None:
        raise UnavailableError("Redis cannot be reached")

    async def broken() -> None:
        raise ValueError("a bug")

    async with BackgroundTasks.opened() as background:
        background.start(unavailable())
        background.start(broken())
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "Redis cannot be reached"),
        ("ERROR", "unexpected error"),
    ]
    assert "a bug" in caplog.text


async def test_repetition_ends_after_a_lost_cancellation() -> None:
    begun, calls = asyncio.Event(), []

    async def action() -> None:
        calls.append(1)
        begun.set()
        if len(calls) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

    async with renew_every(0, action):
        await begun.wait()
    before = len(calls)
    assert len(asyncio.all_tasks()) == 1
    assert len(calls) == before


async def test_failed_repetition_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    again, calls = asyncio.Event(), []

    async def action() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise UnavailableError("Redis is away")
        again.set()

    with caplog.at_level(logging.WARNING):
        async with renew_every(0, action):
            await again.wait()
    assert {(record.message, record.error) for record in caplog.records} == {  # type: ignore[attr-defined]
        ("a lease could not be renewed", "Redis is away")
    }
