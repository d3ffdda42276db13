"""The model function of this measurement: a label and a score for each object of a JSON array.

The answer to an item follows from its `id`, so whoever reads the results can tell what they have to be.
"""

import os
from typing import Any

import orjson
import uvloop
from aiohttp import web

LABELS = ("espresso", "tripod", "tabby", "moped", "disk brake", "jinrikisha", "Egyptian cat")
SCORES = 1_000
BODY_LIMIT = 64 * 1024 * 1024


async def answer(request: web.Request) -> web.Response:
    """Label each object of the array."""
    items: list[dict[str, Any]] = orjson.loads(await request.read())
    return web.Response(body=orjson.dumps([_label(item) for item in items]), content_type="application/json")


def _label(item: dict[str, Any]) -> dict[str, Any]:
    # A CSV has its numbers as text.
    number = int(item["id"])
    return {"label": LABELS[number % len(LABELS)], "score": number % SCORES / SCORES}


async def health(_request: web.Request) -> web.Response:
    """Say that the process listens."""
    return web.Response(text="OK")


def main() -> None:
    """Serve on 127.0.0.1:$PORT."""
    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_get("/_/health", health)
    app.router.add_post("/{path:.*}", answer)
    web.run_app(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), loop=uvloop.new_event_loop(), access_log=None, print=None
    )


if __name__ == "__main__":
    main()
