"""The model function of the benches: waits `BENCH_MODEL_MS` milliseconds an item and answers a small document each.

`BENCH_RESULT_BYTES` is about how large the document is. A JSON array is a chunk, answered with an array as long.
`BENCH_FAILS` makes items fail, as a pure function of the item and of how often it was called: `calls` a tenth of the
calls, `items` a tenth of the items each time, `kinds` two items of a hundred, in forty different ways.

Run as a file it needs nothing of the project, so that it can be deployed by itself.
"""

import asyncio
import os
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvloop
from aiohttp import web

SECONDS = float(os.environ.get("BENCH_MODEL_MS", "0")) / 1000
RESULT_BYTES = int(os.environ.get("BENCH_RESULT_BYTES", "0"))
FAILS = os.environ.get("BENCH_FAILS", "")
PADDING = {"padding": "x" * (RESULT_BYTES - len(b'{"length":12,"padding":""}'))} if RESULT_BYTES else {}
ONE_IN = 10
KINDS = 40
BODY_LIMIT = 64 * 1024 * 1024

_calls: Counter[bytes] = Counter()


async def answer(request: web.Request) -> web.Response:
    """Wait without using the processor, as a model on another machine would, then return the length of the item.

    A chunk takes as long as its items one after the other.
    """
    body = await request.read()
    if request.content_type == "application/json":
        items: list[str] = orjson.loads(body)
        await asyncio.sleep(SECONDS * len(items))
        return json_response([_result(item.encode()) for item in items])
    if FAILS:
        _calls[body] += 1
        if FAILS == "kinds" and (kind := kind_of_failure(body)):
            return web.Response(status=422, text=f"it fails in the way {kind}")
        if fails(body, _calls[body], FAILS):
            return web.Response(status=503)
    if SECONDS:
        await asyncio.sleep(SECONDS)
    return json_response(_result(body))


def fails(item: bytes, call: int, which: str) -> bool:
    """Return whether the nth call for an item fails."""
    number = b"" if which == "items" else str(call).encode()
    return which in {"calls", "items"} and zlib.crc32(item + b"/" + number) % ONE_IN == 0


def kind_of_failure(item: bytes) -> str:
    """Return how an item like `item-0000017` fails, '' for an item that succeeds."""
    number = int(item.rpartition(b"-")[2])
    return 30 * chr(ord("a") + number // 50 % KINDS) if number % 50 == 0 else ""


def json_response(value: object) -> web.Response:
    """Return a value as JSON."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def serve(handler: Callable[[web.Request], Awaitable[web.Response]]) -> None:
    """Serve a handler of all requests on 127.0.0.1:$PORT, as a function's process, until it is ended."""

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="OK")

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_get("/_/health", health)
    app.router.add_route("*", "/{path:.*}", handler)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), loop=loop, access_log=None, print=None)


def _result(item: bytes) -> dict[str, Any]:
    return {"length": len(item), **PADDING}


if __name__ == "__main__":
    serve(answer)
