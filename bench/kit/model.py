"""The model function of the benchmarks: waits `BENCH_MODEL_MS` milliseconds an item and answers a small document each.

With `BENCH_RESULT_BYTES` that has about as many bytes. A JSON array is a chunk, answered with an array as long.
"""

import asyncio
import os
from typing import Any

import orjson
import uvloop
from aiohttp import web

SECONDS = float(os.environ.get("BENCH_MODEL_MS", "0")) / 1000
RESULT_BYTES = int(os.environ.get("BENCH_RESULT_BYTES", "0"))
PADDING = {"padding": "x" * (RESULT_BYTES - len(b'{"length":12,"padding":""}'))} if RESULT_BYTES else {}


async def answer(request: web.Request) -> web.Response:
    """Wait without using the processor, as a model on another machine would, then say how long the item is.

    A chunk takes as long as its items one after the other.
    """
    body = await request.read()
    if request.content_type == "application/json":
        items: list[str] = orjson.loads(body)
        await _wait(len(items))
        result: Any = [_result(item.encode()) for item in items]
    else:
        await _wait(1)
        result = _result(body)
    return web.Response(body=orjson.dumps(result), content_type="application/json")


def _result(item: bytes) -> dict[str, Any]:
    return {"length": len(item), **PADDING}


async def _wait(items: int) -> None:
    if SECONDS:
        await asyncio.sleep(SECONDS * items)


async def health(_request: web.Request) -> web.Response:
    """Say that the process listens."""
    return web.Response(text="OK")


def main() -> None:
    """Serve on 127.0.0.1:$PORT."""
    app = web.Application()
    app.router.add_get("/_/health", health)
    app.router.add_post("/{path:.*}", answer)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), loop=loop, access_log=None, print=None)


if __name__ == "__main__":
    main()
