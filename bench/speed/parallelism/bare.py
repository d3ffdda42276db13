"""The bare queue: the cost of the platform alone, for a call of a model function by the queue and its callback.

It has the same server and client as the pipeline, and nothing around the calls: the task route calls the model
function, the callback route answers 200. It counts the callbacks in memory, so that a bench knows the end.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GATEWAY = os.environ.get("gateway_url", "")  # noqa: SIM112 - spelled as in other OpenFaaS functions
ENQUEUED_AT_ONCE = 16


@dataclass
class Counter:
    """Callbacks to come and callbacks of failures; `last` is the time of the last one, in seconds since 1970."""

    expected: int = 0
    failed: int = 0
    last: float = 0.0


SESSION = web.AppKey("session", ClientSession)
COUNTER = web.AppKey("counter", Counter)


async def start(request: web.Request) -> web.Response:
    """Queue `items` messages for `function`, some at once; answers when the gateway has accepted all."""
    items, function = int(request.query["items"]), request.query["function"]
    session, counter = request.app[SESSION], request.app[COUNTER]
    counter.expected, counter.failed, counter.last = items, 0, 0.0
    url = f"{GATEWAY}/async-function/bare/task?function={function}"
    headers = {"X-Callback-Url": f"{GATEWAY}/function/bare/collect"}
    numbers = iter(range(items))

    async def enqueue() -> None:
        for number in numbers:
            async with session.post(url, headers=headers, data=f"item-{number:07}".encode()) as answer:
                answer.raise_for_status()

    await asyncio.gather(*(enqueue() for _ in range(ENQUEUED_AT_ONCE)))
    return web.Response()


async def task(request: web.Request) -> web.Response:
    """Call the model function with the body of the message, and return its answer."""
    body = await request.read()
    url = f"{GATEWAY}/function/{request.query['function']}"
    async with request.app[SESSION].post(url, data=body) as answer:
        return web.Response(status=answer.status, body=await answer.read())


async def collect(request: web.Request) -> web.Response:
    """Count a callback."""
    await request.read()
    counter = request.app[COUNTER]
    counter.expected -= 1
    counter.failed += request.headers.get("X-Function-Status") != "200"
    if not counter.expected:
        counter.last = time.time()
    return web.Response()


async def last(request: web.Request) -> web.Response:
    """Return the time of the last callback, 0 while some are to come, and the number of failures."""
    counter = request.app[COUNTER]
    return web.json_response({"last": counter.last, "failed": counter.failed})


async def health(_request: web.Request) -> web.Response:
    """Answer that the process listens."""
    return web.Response(text="OK")


async def _session(app: web.Application) -> AsyncIterator[None]:
    connector = TCPConnector(limit=0, keepalive_timeout=60)
    async with ClientSession(connector=connector, cookie_jar=DummyCookieJar()) as session:
        app[SESSION] = session
        yield


def main() -> None:
    """Serve on 127.0.0.1:$PORT."""
    app = web.Application()
    app[COUNTER] = Counter()
    app.cleanup_ctx.append(_session)
    app.router.add_get("/_/health", health)
    app.router.add_get("/last", last)
    app.router.add_post("/start", start)
    app.router.add_post("/task", task)
    app.router.add_post("/collect", collect)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), loop=loop, access_log=None, print=None)


if __name__ == "__main__":
    main()
