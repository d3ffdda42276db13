"""The model function of the round trip: a label and a score for each object of a JSON array.

The answer to an item follows from its `id`, so that a reader of the results knows what they have to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from bench.kit.model import json_response, serve

if TYPE_CHECKING:
    from aiohttp import web

LABELS = ("espresso", "tripod", "tabby", "moped", "disk brake", "jinrikisha", "Egyptian cat")
SCORES = 1_000


async def answer(request: web.Request) -> web.Response:
    """Label each object of the array."""
    items: list[dict[str, Any]] = orjson.loads(await request.read())
    return json_response([_label(item) for item in items])


def _label(item: dict[str, Any]) -> dict[str, Any]:
    # A CSV has its numbers as text.
    number = int(item["id"])
    return {"label": LABELS[number % len(LABELS)], "score": number % SCORES / SCORES}


if __name__ == "__main__":
    serve(answer)
