"""The model function of the benchmarks: waits `BENCH_MODEL_MS` milliseconds and answers a small JSON document."""

import asyncio
import os

import uvloop
from aiohttp import web

SECONDS = float(os.environ.get("BENCH_MODEL_MS", "0")) / 1000


async def answer(request: web.Request) -> web.Response:
    """Wait without using the processor, as a model on another machine would, then say how long the item is."""
    item = await request.read()
    if SECONDS:
        await asyncio.sleep(SECONDS)
    return web.json_response({"length": len(item)})


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
