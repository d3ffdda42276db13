from __future__ import annotations

import io
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from pipeline.local.demo.client import PipelineClient, RefusedError, Status
from pipeline.local.demo.watch import pace_of, watch
from pipeline.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

RUNNING = Status("running", 200, 90, 10, 25.0, 4.0, 4.0, None)


def document(state: str, succeeded: int = 0, failed: int = 0) -> dict[str, Any]:
    return {
        "state": state,
        "items": 10,
        "succeeded": succeeded,
        "failed": failed,
        "settled": succeeded + failed,
        "rate": 2.5,
        "eta": 1.0,
        "elapsed": 4.0,
        "reason": None,
    }


@asynccontextmanager
async def gateway(
    answers: Iterable[web.Response], seen: list[web.Request] | None = None
) -> AsyncIterator[PipelineClient]:
    """A gateway that gives these answers in turn."""
    turn = iter(answers)

    async def handle(request: web.Request) -> web.Response:
        if seen is not None:
            await request.read()
            seen.append(request)
        return next(turn)

    app = web.Application()
    app.router.add_route("*", "/function/pipeline", handle)
    async with TestServer(app) as server, PipelineClient(str(server.make_url("")).rstrip("/")) as client:
        yield client


async def test_starting_a_batch_sends_the_mode_and_the_specification() -> None:
    seen: list[web.Request] = []
    answer = {"batch_id": "b-1", "batch_size": 10, "tasks": 10, "status_url": "http://x"}
    async with gateway([web.json_response(answer, status=201)], seen) as client:
        assert await client.start({"input": "data/demo.csv", "function": "classify"}) == "b-1"
    (request,) = seen
    assert (request.method, request.headers["X-Mode"]) == ("POST", "batch")
    assert await request.json() == {"input": "data/demo.csv", "function": "classify"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            web.json_response({"error": "not valid", "problems": ["chunk: too big", "column: empty"]}, status=400),
            "the batch was refused (400): not valid; problems: chunk: too big, column: empty",
        ),
        (web.json_response({"error": "taken", "batch_id": None}, status=409), "the batch was refused (409): taken"),
        (web.Response(text="Bad gateway\n", status=502), "the batch was refused (502): Bad gateway"),
    ],
)
async def test_a_refused_batch_is_told_in_the_words_of_the_pipeline(answer: web.Response, message: str) -> None:
    async with gateway([answer]) as client:
        with pytest.raises(RefusedError) as refused:
            await client.start({})
    assert str(refused.value) == message


async def test_a_gateway_that_is_not_there_is_a_refusal() -> None:
    async with PipelineClient(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(RefusedError, match="the gateway cannot be reached: "):
            await client.start({})


async def test_a_batch_is_watched_to_its_end_through_passing_failures() -> None:
    answers = [
        web.json_response({"state": "opening", "items": None, "eta": None}),
        web.Response(status=503),
        web.json_response(document("running", 3)),
        web.Response(status=429),
        web.json_response(document("reducing", 9, 1)),
        web.json_response(document("done", 9, 1)),
    ]
    console = Console(file=io.StringIO(), width=120)
    async with gateway(answers) as client:
        last = await watch(console, client.follow("b-1"))
    assert (last.state, last.succeeded, last.failed, last.elapsed) == ("done", 9, 1, 4.0)
    assert isinstance(console.file, io.StringIO)
    line = console.file.getvalue().splitlines()[-1]
    assert line.startswith("done ")
    assert line.rstrip().endswith("10/10 9 succeeded 1 failed 2.5 items/s")


async def test_a_batch_that_is_gone_ends_the_watching() -> None:
    async with gateway([web.json_response({"error": "no such batch"}, status=404)]) as client:
        with pytest.raises(RefusedError, match=r"no status of b-1 \(404\): no such batch"):
            await watch(Console(file=io.StringIO()), client.follow("b-1"))


@pytest.mark.parametrize(
    ("status", "pace"),
    [
        (RUNNING, "25.0 items/s, 0:04 to go"),
        (replace(RUNNING, eta=3700.2), "25.0 items/s, 61:40 to go"),
        (replace(RUNNING, eta=None), "25.0 items/s"),
        (replace(RUNNING, rate=0.0, eta=None), ""),
        (replace(RUNNING, rate=0.0), "0:04 to go"),
        (replace(RUNNING, state="done"), "25.0 items/s"),
    ],
)
def test_pace_is_told_in_words(status: Status, pace: str) -> None:
    assert pace_of(status) == pace
