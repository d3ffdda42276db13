"""The bare queue: the cost of the platform alone, for a call of a model function by the queue and its callback.

It has the same server and client as the pipeline, and nothing around the calls: the task route calls the model
function, the callback route answers 200. It counts the callbacks in memory, so that a bench knows the end.

Run as a file it needs nothing of the project, so that it can be deployed by itself.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

GATEWAY = os.environ.get("gateway_url", "")  # noqa: SIM112 - spelled as in other OpenFaaS functions
ENQUEUED_AT_ONCE = 16
SESSION = web.AppKey("session", ClientSession)
# Callbacks to come, those of failures, and the time of the last one in seconds since 1970, 0 while some are to come.
counts = {"expected": 0, "failed": 0, "last": 0.0}


async def start(request: web.Request) -> web.Response:
    """Queue `items` messages for `function`, some at once; answers when the gateway has accepted all."""
    numbers = iter(range(int(request.query["items"])))
    counts.update(expected=int(request.query["items"]), failed=0, last=0.0)
    url = f"{GATEWAY}/async-function/bare/task?function={request.query['function']}"
    headers = {"X-Callback-Url": f"{GATEWAY}/function/bare/collect"}

    async def enqueue() -> None:
        for number in numbers:
            async with request.app[SESSION].post(url, headers=headers, data=f"item-{number:07}".encode()) as answer:
                answer.raise_for_status()

    await asyncio.gather(*(enqueue() for _ in range(ENQUEUED_AT_ONCE)))
    return web.Response()


async def task(request: web.Request) -> web.Response:
    """Call the model function with the body of the message, and return its answer."""
    url = f"{GATEWAY}/function/{request.query['function']}"
    async with request.app[SESSION].post(url, data=await request.read()) as answer:
        return web.Response(status=answer.status, body=await answer.read())


async def collect(request: web.Request) -> web.Response:
    """Count a callback."""
    await request.read()
    counts["expected"] -= 1
    counts["failed"] += request.headers.get("X-Function-Status") != "200"
    if not counts["expected"]:
        counts["last"] = time.time()
    return web.Response()


async def look(_request: web.Request) -> web.Response:
    """Return the counts, which also tells that the process listens."""
    return web.json_response(counts)


async def _session(app: web.Application) -> AsyncIterator[None]:
    connector = TCPConnector(limit=0, keepalive_timeout=60)
    async with ClientSession(connector=connector, cookie_jar=DummyCookieJar()) as session:
        app[SESSION] = session
        yield


if __name__ == "__main__":
    app = web.Application()
    app.cleanup_ctx.append(_session)
    app.add_routes([web.get("/_/health", look), web.get("/last", look), web.post("/start", start)])
    app.add_routes([web.post("/task", task), web.post("/collect", collect)])
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), loop=loop, access_log=None, print=None)
