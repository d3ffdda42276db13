"""The model function of the benchmarks, failing for a tenth: of its calls, or of the items, whatever it is called for.

`BENCH_FAILS` says which: `calls` or `items`. It is a pure function of the item and how often that was called for.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections import Counter

import uvloop
from aiohttp import web

from bench.kit import model

FAILS = os.environ.get("BENCH_FAILS", "")
ONE_IN = 10


def fails(item: bytes, call: int, which: str) -> bool:
    """Say whether the nth call for an item is one that fails."""
    number = b"" if which == "items" else str(call).encode()
    return bool(which) and zlib.crc32(item + b"/" + number) % ONE_IN == 0


async def main() -> None:
    """Serve on 127.0.0.1:$PORT until it is ended."""
    calls: Counter[bytes] = Counter()

    async def answer(request: web.Request) -> web.Response:
        item = await request.read()
        calls[item] += 1
        return web.Response(status=503) if fails(item, calls[item], FAILS) else await model.answer(request)

    app = web.Application()
    app.router.add_get("/_/health", model.health)
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
