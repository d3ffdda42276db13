"""Concurrency: background work, and actions that are repeated while a block runs."""

import asyncio
import contextlib
import logging
from functools import partial

import pytest

from pipeline.concurrency import BackgroundTasks, NamedTasks, check_right, renew_every, valid_for
from pipeline.errors import UnavailableError
from tests.rigs.fixtures.event_loop import Freeze


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


@pytest.mark.parametrize("renewed", [True, False])
async def test_right_ends_with_its_lease_unless_that_is_renewed(freeze: Freeze, renewed: bool) -> None:  # noqa: FBT001
    asked = asyncio.Event()

    async def renew() -> bool:
        asked.set()
        return renewed

    async with renew_every(300, renew, lease=900):
        await asyncio.sleep(0)
        check_right()
        freeze()
        with pytest.raises(UnavailableError, match="the right to it may be lost"):
            check_right()
        await asked.wait()
        await asyncio.sleep(0)
        with contextlib.nullcontext() if renewed else pytest.raises(UnavailableError):
            check_right()
    check_right()


async def test_right_of_a_block_ends_with_that_of_the_block_around(freeze: Freeze) -> None:
    async def never() -> bool:
        return False

    async with renew_every(300, never, lease=900), valid_for(5000):
        check_right()
        freeze()
        with pytest.raises(UnavailableError, match="the right to it may be lost"):
            check_right()


async def test_named_tasks_run_side_by_side_and_end_with_their_owner() -> None:
    begun, ended = asyncio.Semaphore(0), list[str]()

    async def hang(name: str) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async with NamedTasks.opened(2) as tasks:
        await tasks.run({"a": partial(hang, "a"), "b": partial(hang, "b"), "c": partial(hang, "c")}, 0)
        await begun.acquire()
        await begun.acquire()
        await tasks.run({"a": partial(hang, "second a")}, 0)
        assert ended == []
    assert sorted(ended) == ["a", "b"]
