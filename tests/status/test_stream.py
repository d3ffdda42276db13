"""A stream of server-sent events: the changes of a status, until the stream ends itself."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from pipeline.errors import UnavailableError
from pipeline.status import stream as streaming
from pipeline.status.stream import stream, version_of
from tests.rigs.waiting import PATIENCE

RUNNING = {"state": "running", "settled": 1, "elapsed": 1.0, "eta": 3.0, "rate": 0.3}
LATER = {"state": "running", "settled": 1, "elapsed": 2.0, "eta": 4.0, "rate": 0.2}
MORE = {"state": "running", "settled": 2, "elapsed": 3.0, "eta": 1.0, "rate": 0.6}
DONE = {"state": "done", "settled": 2, "elapsed": 3.0, "eta": None, "rate": 0.6}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BETWEEN", 0.001)
    monkeypatch.setattr(streaming, "LONGEST", 3600)


def reading(documents: Iterator[dict[str, Any] | Exception]) -> streaming.Read:
    async def read() -> dict[str, Any]:
        found = next(documents)
        if isinstance(found, Exception):
            raise found
        return found

    return read


async def events(
    *documents: dict[str, Any] | Exception, seen: str = "", closing: asyncio.Event | None = None
) -> list[str]:
    """The events of a stream that reads these documents one after the other, as text."""
    first, *rest = documents
    assert isinstance(first, dict)
    over = closing or asyncio.Event()
    response = stream(first, reading(iter(rest)), lambda document: document["state"] == "done", seen, over)
    assert (response.status, response.body) == (200, b"")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.stream is not None
    whole = b"".join([piece async for piece in response.stream]).decode()
    assert whole.endswith("\n\n")
    return whole.removesuffix("\n\n").split("\n\n")


def status_event(document: dict[str, Any]) -> str:
    return f"id: {version_of(document)}\nevent: status\ndata: {orjson.dumps(document).decode()}"


async def test_stream_sends_changes_and_ends_with_the_batch() -> None:
    comment, *rest = await events(RUNNING, LATER, MORE, MORE, DONE)
    assert comment.startswith(": ")
    assert rest == [status_event(RUNNING), status_event(MORE), status_event(DONE), "event: end\ndata: {}"]


async def test_passing_time_is_not_a_change() -> None:
    assert version_of(RUNNING) == version_of(LATER) != version_of(MORE)


@pytest.mark.parametrize("seen", [version_of(RUNNING), "of another document"])
async def test_resumed_stream_sends_only_changes(seen: str) -> None:
    _, *rest = await events(RUNNING, DONE, seen=seen)
    assert rest == [
        *([] if seen == version_of(RUNNING) else [status_event(RUNNING)]),
        status_event(DONE),
        "event: end\ndata: {}",
    ]


async def test_stream_sends_comments_while_nothing_changes() -> None:
    _, first, *rest, _, _ = await events(*[RUNNING] * 20, DONE)
    assert first == status_event(RUNNING)
    assert rest == [": nothing new"] * 4


async def test_stream_ends_after_its_longest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LONGEST", 0.01)
    response = stream(RUNNING, reading(itertools.repeat(RUNNING)), lambda _: False, "", asyncio.Event())
    assert response.stream is not None
    pieces = [piece async for piece in response.stream]
    assert {piece.decode().strip() for piece in pieces[2:]} <= {": nothing new"}


async def test_stream_ends_after_its_longest_time_during_a_slow_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LONGEST", 1)
    given_up = asyncio.Event()

    async def read() -> dict[str, Any]:
        try:
            return await asyncio.Future()
        finally:
            given_up.set()

    response = stream(RUNNING, read, lambda _: False, "", asyncio.Event())
    assert response.stream is not None
    async with asyncio.timeout(PATIENCE):
        _, *rest = [piece async for piece in response.stream]
    assert [piece.decode().strip() for piece in rest] == [status_event(RUNNING)]
    assert given_up.is_set()


async def test_error_is_the_last_event() -> None:
    _, first, error = await events(RUNNING, UnavailableError("Redis is away"))
    assert (first, error) == (status_event(RUNNING), 'event: error\ndata: {"error":"Redis is away"}')


async def test_stream_ends_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BETWEEN", 3600)
    closing = asyncio.Event()
    closing.set()
    assert len(await events(RUNNING, closing=closing)) == 2


async def test_document_is_one_line() -> None:
    hostile = {"state": "done", "reason": "a\n\nevent: end\r\ndata: {}\u2028"}
    _, first, _ = await events(hostile)
    assert first.count("\n") == 2
    assert "\r" not in first
