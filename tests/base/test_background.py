"""What goes on after an answer: it is waited for at the end, and how it fails is said."""

import asyncio

import pytest

from pipeline.concurrency import Background
from pipeline.errors import UnavailableError


async def test_the_end_waits_for_what_was_started_and_for_what_that_starts() -> None:
    done: list[str] = []
    go = asyncio.Event()

    async def first(background: Background) -> None:
        await go.wait()
        background.start(second())
        done.append("first")

    async def second() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        done.append("second")

    async with Background.opened() as background:
        background.start(first(background))
        assert done == []
        go.set()
    assert done == ["first", "second"]


async def test_a_failure_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def unavailable() -> None:
        raise UnavailableError("Redis cannot be reached")

    async def broken() -> None:
        raise ValueError("a bug")

    async with Background.opened() as background:
        background.start(unavailable())
        background.start(broken())
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "Redis cannot be reached"),
        ("ERROR", "an error without a name"),
    ]
    assert "a bug" in caplog.text
